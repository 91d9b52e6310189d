/** What each phase trains, per published model, by counts and names of the reference. */
import { sizeOf, topologicalOrder, type Value } from "@dcae/core/graph";
import {
  type DcAePreset,
  dcAeDecode,
  dcAeEncode,
  modelParameters,
  PRESETS,
  resolveDcAeConfig,
} from "@dcae/core/models";
import { describe, expect, test } from "vitest";
import { lastLayerName, type Phase, phasePrefixes } from "../../src/phases/phase-parameters.js";
import { reconstructionObjective } from "../../src/phases/reconstruction.js";
import { startsWithAny } from "../../src/step/training-rule.js";
import { gradientStep } from "../../src/step/training-step.js";
import { goldenJson } from "../support/golden.js";

const reference = goldenJson("phase_parameters");

/** `dc-ae-f32c32-{in,mix}-1.0` stands for two names. */
function expandBraces(name: string): string[] {
  const match = /^(.*)\{(.*)\}(.*)$/.exec(name);
  return match === null ? [name] : match[2]!.split(",").map((part) => `${match[1]}${part}${match[3]}`);
}

const cases = Object.entries(reference).flatMap(([key, expected]) =>
  expandBraces(key).map((name) => [name, expected] as const),
);

test("published models are covered", () => {
  expect(cases.length).toBeGreaterThan(0);
});

describe.each(cases)("%s", (name, expected) => {
  const preset = PRESETS.find((candidate) => candidate.name === name || candidate.aliases.includes(name)) as DcAePreset;
  const specs = () => modelParameters({ kind: "dc-ae", config: preset.config }).filter(({ trainable }) => trainable);
  const count = (prefixes: readonly string[]) =>
    specs()
      .filter(({ name: key }) => startsWithAny(prefixes)(key))
      .reduce((sum, { shape }) => sum + sizeOf(shape), 0);

  test("phase sets", () => {
    const sets = [
      [1, {}, expected.phase1],
      [2, { stagesEachSide: 0 }, expected.phase2.narrow],
      [2, {}, expected.phase2.default],
      [3, { decoderStages: 0 }, expected.phase3.narrow],
      [3, {}, expected.phase3.default],
    ] as const;
    for (const [phase, options, { trainable, parameters }] of sets) {
      const prefixes = phasePrefixes(phase as Phase, preset.config, options);
      expect(new Set(prefixes)).toEqual(new Set(trainable));
      expect(count(prefixes)).toBe(parameters);
    }
    expect(count([""])).toBe(expected.total);
  });

  test("last layer", () => {
    expect(lastLayerName(preset.config)).toBe(expected.last_layer_for_adaptive_weight);
    expect(specs().some(({ name: key }) => key === lastLayerName(preset.config))).toBe(true);
  });
});

test("wrong numbers of stages are refused, explicit lists replace the rule", () => {
  const { config } = PRESETS.find(({ kind }) => kind === "dc-ae") as DcAePreset;
  expect(() => phasePrefixes(2, config, { stagesEachSide: 9 })).toThrow(/stagesEachSide: must be an integer in 0\.\.5/);
  expect(() => phasePrefixes(3, config, { decoderStages: -1 })).toThrow(/decoderStages/);
  expect(phasePrefixes(3, config, { prefixes: ["decoder."] })).toEqual(["decoder."]);
});

describe("frozen layers cost no backward work", () => {
  const config = resolveDcAeConfig({
    latentChannels: 4,
    encoder: { widthList: [4, 8, 8], depthList: [1, 1, 1], blockType: "ResBlock" },
    decoder: { widthList: [4, 8, 8], depthList: [1, 1, 1], blockType: "ResBlock", norm: "bn2d", act: "relu" },
  });
  const specs = modelParameters({ kind: "dc-ae", config });
  /** Gradients of convolutions, by the kind of what they are the gradient of: their number in the step's graph. */
  function work(phase: Phase) {
    const objective = reconstructionObjective({
      reconstruct: (scope, x: Value) => dcAeDecode(scope, dcAeEncode(scope, x, config), config),
      images: [1, 3, 16, 16],
      lpipsWeight: 0,
    });
    const step = gradientStep(
      objective,
      startsWithAny(phasePrefixes(phase, config, { stagesEachSide: 0, decoderStages: 0 })),
    );
    const forward = new Set(topologicalOrder([step.metrics.loss as Value]));
    const added = topologicalOrder(step.gradients).filter((value) => !forward.has(value));
    const layers = [...forward].filter(({ op }) => op === "conv2d");
    const position = new Map([...forward].map((value, i) => [value, i]));
    const first = step.weights.map(({ value }) => position.get(value) as number).sort((a, b) => a - b)[0] as number;
    const behind = layers.filter((value) => (position.get(value) as number) > first).length;
    const backward = added.filter(({ op }) => op === "conv2d" || op === "convTranspose2d").length;
    return { layers: layers.length, behind, backward, trained: step.weights.length, buffers: step.buffers.size };
  }

  test("phase 1 goes back through every layer but the first", () => {
    const { layers, backward, trained, buffers } = work(1);
    expect(backward).toBe(layers - 1);
    expect(trained).toBe(specs.filter(({ trainable }) => trainable).length);
    // What isn't trained are the buffers of batch norms.
    expect(buffers).toBe(specs.filter(({ trainable }) => !trainable).length);
  });

  test("phase 2 stops at the encoder's output layer, and leaves batch norms alone", () => {
    const { layers, behind, backward, buffers } = work(2);
    expect(behind).toBeLessThan(layers);
    expect(backward).toBe(behind - 1);
    expect(buffers).toBe(0);
  });

  test("phase 3 touches the last convolution alone", () => {
    const { backward, behind, buffers } = work(3);
    expect(behind).toBe(1);
    expect(backward).toBe(1);
    expect(buffers).toBe(0);
  });
});
