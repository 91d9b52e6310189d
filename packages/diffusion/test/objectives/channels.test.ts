/** Losses on the first channels of latents by a mask, against adaptive networks that are given no others (diffusion.md section 8.6). */
import { createRandom, createScope, sizeOf, Tensor, type Value } from "@dcae/core/graph";
import { expectClose, GRADIENT_TOLERANCE, MODEL_TOLERANCE } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { parameterGradients } from "@dcae/test-support/gradients";
import { runGraph } from "@dcae/test-support/run-graph";
import { describe, expect, it } from "vitest";
import { diffusionInputs, diffusionLoss, objectiveOf, trainingLoss } from "../../src/objectives/diffusion-loss.js";
import { gaussianDiffusion } from "../../src/objectives/gaussian-diffusion.js";
import { tinyDescription, tinyWeights } from "../support/tiny-models.js";

const engine = useEngine();
const CHANNELS = 8;
const SHAPE = [3, CHANNELS, 4, 4];
const noise = (seed: number) => Tensor.float32(createRandom(seed).normal(new Float32Array(sizeOf(SHAPE))), SHAPE);
const first = (x: Tensor, count: number) => x.slice([undefined, { stop: count }]);
const maskOf = (count: number) => Tensor.float32(new Float32Array(CHANNELS).fill(1, 0, count), [1, CHANNELS, 1, 1]);

const networks = [
  { name: "UViT, noise prediction", arch: "uvit", keys: { train_scheduler: "DPM_Solver" }, times: [1, 500, 1000] },
  { name: "DiT, Gaussian diffusion with learned sigma", arch: "dit", keys: {}, times: [0, 400, 999] },
  { name: "USiT, flow matching", arch: "uvit", keys: { train_scheduler: "SiTSampler" }, times: [0.1, 0.5, 0.9] },
  { name: "SANA-cls, its flow", arch: "sana_cls", keys: {}, times: [3, 300, 900] },
  {
    ...{ name: "SANA-cls, Gaussian diffusion", arch: "sana_cls", keys: { train_scheduler: "GaussianDiffusion" } },
    times: [0, 400, 999],
  },
];

describe.each(networks)("$name", ({ arch, keys, times }) => {
  const description = tinyDescription(arch, { adaptive_channel: true, depth: 1, ...keys });
  const { config } = description;
  const objective = objectiveOf(description.recipe);
  const weights = tinyWeights(description);
  const shared = {
    labels: new Tensor("int32", Int32Array.of(0, 2, 1), [3]),
    ...Object.fromEntries(
      Object.entries(objective.coefficients(times)).map(([name, values]) => [name, Tensor.float32(values)] as const),
    ),
  };

  const run = (inputs: Readonly<Record<string, Tensor>>) =>
    runGraph(
      engine,
      inputs,
      (scope, values: Readonly<Record<string, Value>>) => {
        const { loss, terms, constants } = diffusionLoss(scope, config, objective, values);
        const parameters = new Map(
          [...scope.parameters.values()].flatMap(({ name, shape, trainable }) =>
            trainable ? [[name, scope.parameter(name, shape)] as const] : [],
          ),
        );
        return { loss, ...terms, ...parameterGradients(loss, parameters, { constants }) };
      },
      weights,
    );

  it("terms and all gradients of three channels", async () => {
    const count = 3;
    const [latents, drawn] = [noise(1), noise(2)];
    const masked = await run({ latents, noise: drawn, ...shared, mask: maskOf(count) });
    const sliced = await run({ latents: first(latents, count), noise: first(drawn, count), ...shared });
    expect(Object.keys(masked)).toEqual(Object.keys(sliced));
    for (const [name, expected] of Object.entries(sliced)) {
      expectClose(masked[name]!, expected, name.startsWith("grad.") ? GRADIENT_TOLERANCE : MODEL_TOLERANCE, name);
    }
    // The loss is about these channels: with the others in it, it is another.
    const all = await run({ latents, noise: drawn, ...shared });
    expect(Math.abs(Number(all.loss!.at()) - Number(masked.loss!.at()))).toBeGreaterThan(1e-3);
  });
});

it("the other modes of Gaussian diffusion, with a network that answers with what it is given", async () => {
  const [latents, drawn] = [noise(1), noise(2)];
  for (const [mode, count] of [
    [{ variance: "fixed-large", predict: "data" }, 5],
    [{ variance: "fixed-small", loss: "rescaled-kl" }, 3],
  ] as const) {
    const objective = gaussianDiffusion(mode);
    const numbers = Object.fromEntries(
      Object.entries(objective.coefficients([1, 400, 999])).map(([key, values]) => [key, Tensor.float32(values)]),
    );
    const answer = (tensors: Record<string, Tensor>) =>
      runGraph(engine, tensors, (_, { latents: x, noise: e, mask, ...rest }: Readonly<Record<string, Value>>) => {
        const { loss } = objective.loss((noisy) => noisy, x!, e!, rest, mask);
        return { loss };
      });
    const zeroed = (x: Tensor) =>
      Tensor.float32(
        x.toFloat32().map((value, i) => (Math.floor(i / 16) % CHANNELS < count ? value : 0)),
        SHAPE,
      );
    const { loss } = await answer({ latents: zeroed(latents), noise: zeroed(drawn), ...numbers, mask: maskOf(count) });
    const { loss: expected } = await answer({ latents: first(latents, count), noise: first(drawn, count), ...numbers });
    expectClose(loss!, expected!, MODEL_TOLERANCE);
  }
});

it("has a mask among its inputs where it is asked for, and refuses networks whose channels can't be counted", () => {
  const at = (keys: object) => tinyDescription("uvit", { ...keys }).config;
  const objective = objectiveOf({ trainScheduler: "SiTSampler" });
  expect(diffusionInputs(at({}), objective, 2)).not.toHaveProperty("mask");
  expect(diffusionInputs(at({}), objective, 2, true).mask!.shape).toEqual([1, 8, 1, 1]);
  const build = (keys: object) => () => trainingLoss(at(keys), objective, 2, true)(createScope());
  expect(build({})).toThrow(/isn't adaptive/);
  expect(build({ adaptive_channel: true, patch_size: 2 })).toThrow(/patches of 1 position, the model's have 2/);
  expect(build({ adaptive_channel: true })).not.toThrow();
});
