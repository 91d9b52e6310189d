/**
 * Gradients of blocks and of whole autoencoders against those of the reference (loss: mean |output - target|), as they are
 * written, and in the forms for a CPU with every 3x3 convolution in Winograd's form, whether it pays or not.
 */
import { abs, createScope, input, reduceMean, slice, sub, type Tensor, type Value } from "@dcae/core/graph";
import {
  dcAeDecode,
  dcAeEncode,
  parseOfficialConfig,
  readModelConfig,
  requireFamily,
  sdVaeDecode,
  sdVaeEncode,
} from "@dcae/core/models";
import type { Engine } from "@dcae/core/runtime";
import { expectClose, GRADIENT_TOLERANCE } from "@dcae/test-support/compare";
import { buildGoldenBlock } from "@dcae/test-support/golden-blocks";
import { type DcAeCase, dcAeCases, officialConfigOf } from "@dcae/test-support/golden-dcae";
import { runValues } from "@dcae/test-support/run-graph";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GradientOptions, gradients } from "../../src/autodiff/gradients.js";
import { optimizeForward } from "../../src/step/optimize-forward.js";
import { ENGINES } from "../support/engines.js";

const names = dcAeCases.names((info) => "grad" in info);

const engines = new Map<string, Engine>();
beforeAll(async () => {
  for (const [name, start] of Object.entries(ENGINES)) engines.set(name, await start());
});
afterAll(() => Promise.all([...engines.values()].map((engine) => engine.dispose())));

function forwardOf(golden: DcAeCase): ReturnType<typeof buildGoldenBlock> {
  if (golden.kind === "autoencoder_kl") {
    const model = readModelConfig({ _class_name: "AutoencoderKL", ...golden.config });
    const { config } = requireFamily(model, "sd-vae", golden.name);
    const channels = config.latentChannels;
    return (scope, x) => sdVaeDecode(scope, slice(sdVaeEncode(scope, x, config), 1, 0, channels), config);
  }
  if (golden.kind !== "dcae") return buildGoldenBlock(golden);
  const config = parseOfficialConfig(officialConfigOf(golden));
  return (scope, x) => dcAeDecode(scope, dcAeEncode(scope, x, config), config);
}

test("there are blocks and whole autoencoders with gradients", () => {
  expect(new Set(names.map((name) => dcAeCases.info(name).group))).toEqual(
    new Set(["autoencoder", "autoencoder_kl", "block"]),
  );
});

interface Form extends GradientOptions {
  readonly of: (loss: Value) => Value;
}
const plain: Form = { of: (loss) => loss };
const optimized = (tile: 2 | 4): Form => ({
  of: (loss) => optimizeForward([loss], { chooseWinograd: () => tile })[0] as Value,
  forms: { depthwise: "convolution", input: "convolutions", compositions: "whole" },
});

const CASES: readonly (readonly [engine: string, form: string, Form])[] = [
  ...Object.keys(ENGINES).map((engine) => [engine, "as written", plain] as const),
  ["OnnxEngine", "with tiles of 2", optimized(2)],
  ["OnnxEngine", "with tiles of 4", optimized(4)],
];

describe.each(names)("%s", (name) => {
  test.each(CASES)("gradients on %s, %s", async (engineName, _, form) => {
    const golden = await dcAeCases.load(name);
    const scope = createScope({ training: golden.mode === "train" });
    const [inputName] = golden.grad!.wrt;
    const [x, target] = [golden.tensor(inputName), golden.tensor(golden.grad!.target)];
    const xValue = input("x", x.shape);
    const y = forwardOf(golden)(scope, xValue);
    const loss = form.of(reduceMean(abs(sub(y, input("target", target.shape)))));
    const weightNames = [...golden.tensors.keys()]
      .filter((key) => key.startsWith("grad.w."))
      .map((key) => key.slice(7));
    const trained = [...scope.parameters.values()].filter(({ trainable }) => trainable);
    expect(trained.map((parameter) => parameter.name).sort()).toEqual([...weightNames].sort());
    const spec = (key: string) => scope.parameters.get(key)!;
    const wrt: Value[] = [xValue, ...weightNames.map((key) => scope.parameter(key, spec(key).shape))];
    const values = gradients(loss, wrt, form);
    const outputs = Object.fromEntries(values.map((value, i) => [`gradient${i}`, value]));
    const results = await runValues(engines.get(engineName)!, { loss, ...outputs }, { x, target }, golden.weights);
    expectClose(results.loss as Tensor, golden.tensor("out.loss"), GRADIENT_TOLERANCE);
    expectClose(results.gradient0 as Tensor, golden.tensor(`grad.${inputName}`), GRADIENT_TOLERANCE, inputName);
    weightNames.forEach((key, i) => {
      const expected = golden.tensor(`grad.w.${key}`);
      // What all keys have in common moves no softmax: that gradient is nothing but rounding, also in the reference.
      if (key.endsWith(".to_k.bias")) {
        const weights = golden.values(`grad.w.${key.replace(/bias$/, "weight")}`).map(Math.abs);
        const gradient = Array.from((results[`gradient${i + 1}`] as Tensor).cast("float64").data, Number);
        const largest = Math.max(...gradient.map(Math.abs));
        expect(largest, key).toBeLessThan(GRADIENT_TOLERANCE * Math.max(...weights));
        return;
      }
      expectClose(results[`gradient${i + 1}`] as Tensor, expected, GRADIENT_TOLERANCE, key);
    });
  });
});
