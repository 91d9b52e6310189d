/** Several optimizers in one update: each moves its own parameters as it would alone, and says which those are. */
import { input, Tensor } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { namedOptimizer } from "../../src/configs/run-schedule.js";
import { optimizerSchema } from "../../src/configs/schema.js";
import { type ParameterGroup, weightDecayOf } from "../../src/optimizer/optimizers.js";
import { type OptimizerOptions, optimizerStep } from "../../src/step/training-step.js";
import { ENGINES } from "../support/engines.js";
import { updateAlong, weight } from "../support/updates.js";

const constant = (lr: number) => ({ kind: "constant", lr }) as const;
const SHAPES: Record<string, number[]> = {
  "encoder.conv.weight": [2, 2],
  "encoder.conv.bias": [2],
  "decoder.norm.weight": [2],
  "decoder.conv.weight": [2, 3],
};
const filled = (values: (i: number) => number, names = Object.keys(SHAPES)) =>
  new Map(
    names.map((name, at) => {
      const shape = SHAPES[name]!;
      const size = shape.reduce((product, side) => product * side, 1);
      return [
        name,
        Tensor.float32(
          Array.from({ length: size }, (_, i) => values(at * 10 + i)),
          shape,
        ),
      ];
    }),
  );
const only = <T>(map: ReadonlyMap<string, T>, test: (name: string) => boolean) =>
  new Map([...map].filter(([name]) => test(name)));

const lion = { kind: "lion", schedule: constant(0.01), clipNorm: 0.5, weightDecay: 0.2 } as const;
const came = { kind: "came", schedule: constant(0.02), weightDecay: 0.1, noDecay: ["conv"] } as const;
const adamw = { kind: "adamw", name: "net", schedule: constant(0.03), clipNorm: 1, weightDecay: 0.3 } as const;
const groups: ParameterGroup[] = [
  { ...lion, name: "encoder", parameters: ["encoder"] },
  { ...came, name: "out", parameters: ["decoder.c*.weight"] },
];

describe.each(Object.entries(ENGINES))("%s", (_, start) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine.dispose());

  test("each group is moved, clipped and decayed by its own optimizer, bit by bit as if it were alone", async () => {
    const initial = filled((i) => Math.cos(i));
    const steps = [1, 2].map((step) => filled((i) => 3 * Math.sin(i + 7 * step)));
    const together = await updateAlong(engine, initial, steps, { ...adamw, groups });
    const alone = async (belongs: (name: string) => boolean, options: OptimizerOptions) => {
      const mine = steps.map((gradients) => only(gradients, belongs));
      return updateAlong(engine, only(initial, belongs), mine, options);
    };
    const parts = [
      { suffix: "", ...(await alone((name) => name === "decoder.norm.weight", adamw)) },
      { suffix: "_encoder", ...(await alone((name) => name.startsWith("encoder."), { ...lion, name: "net-encoder" })) },
      { suffix: "_out", ...(await alone((name) => name === "decoder.conv.weight", { ...came, name: "net-out" })) },
    ];
    const seen = new Set<string>();
    for (const { state, metrics, suffix } of parts) {
      for (const [name, tensor] of state) {
        // One counter serves all groups.
        if (name.endsWith(".step") && suffix !== "") continue;
        expect(together.state.get(name)?.bytes, name).toEqual(tensor.bytes);
        seen.add(name);
      }
      metrics.forEach(({ learning_rate, gradient_norm }, i) => {
        expect(together.metrics[i]![`learning_rate${suffix}`]).toBe(learning_rate);
        expect(together.metrics[i]![`gradient_norm${suffix}`]).toBe(gradient_norm);
      });
    }
    expect([...together.state.keys()].filter((name) => !seen.has(name))).toEqual([]);
    expect([...seen]).toContain("adamw.net.step");
  });
});

const stepOf = (options: object) => () => {
  const weights = Object.entries(SHAPES).map(([name, shape]) => weight(name, shape));
  const gradients = weights.map(({ name, value }) => input(`gradient.${name}`, value.shape));
  return optimizerStep({ weights, gradients, buffers: new Map(), metrics: {} }, {
    ...adamw,
    ...options,
  } as OptimizerOptions);
};
const group = (name: string, ...parameters: string[]): ParameterGroup => ({ ...lion, name, parameters });

test("a parameter of two groups, a pattern without parameters and two groups of one name are refused by name", () => {
  expect(stepOf({ groups: [group("a", "encoder"), group("b", "*.bias")] })).toThrow(
    'optimizer "net": "encoder.conv.bias" belongs to two groups, "a" and "b"',
  );
  expect(stepOf({ groups: [group("a", "encoder", "middle")] })).toThrow(
    'optimizer "net": "middle" of group "a" matches nothing that trains',
  );
  expect(stepOf({ groups: [group("a", "encoder"), group("a", "decoder")] })).toThrow('two groups are named "a"');
  expect(stepOf({ groups: [{ ...group("a", "encoder"), eps: 1 }] })).toThrow(/optimizer "net-a": .*eps/);
});

test("configurations give groups defaults, and their schedules follow the run", () => {
  const config = optimizerSchema.parse({
    schedule: constant(1e-3),
    groups: [{ name: "head", parameters: ["decoder"], kind: "lion", schedule: { kind: "cosine", lr: 1e-4 } }],
  });
  expect(namedOptimizer("autoencoder", config, 50)).toMatchObject({
    kind: "adamw",
    betas: [0.9, 0.999],
    groups: [{ name: "head", kind: "lion", betas: [0.9, 0.99], schedule: { kind: "cosine", lr: 1e-4, maxSteps: 50 } }],
  });
  const wrong = { schedule: constant(1e-3), groups: [{ name: "head", parameters: [], schedule: constant(1) }] };
  expect(optimizerSchema.safeParse(wrong).error?.issues.map(({ path }) => path.join("."))).toEqual([
    "groups.0.parameters",
  ]);
});

test("parts of names that don't decay may have gaps", () => {
  const decay = (name: string, noDecay?: string[]) =>
    weightDecayOf({ schedule: constant(1), weightDecay: 0.1, noDecay }, name);
  expect(decay("decoder.stages.0.conv.weight")).toBe(0.1);
  expect(decay("decoder.stages.0.conv.bias")).toBe(0);
  expect(decay("decoder.stages.0.conv.bias", [])).toBe(0.1);
  expect(decay("decoder.stages.0.conv.weight", ["decoder*conv"])).toBe(0);
  expect(decay("encoder.decoder_conv.weight", ["conv*decoder"])).toBe(0.1);
});
