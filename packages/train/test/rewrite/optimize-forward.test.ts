/** Optimized forward passes make the updates of the plain ones, in every kind of step. */

import { conv, downsampleBlock, gluMbConv, norm, resBlock, upsampleBlock } from "@dcae/core/blocks";
import {
  add,
  createRandom,
  input,
  type Program,
  type Scope,
  silu,
  sizeOf,
  Tensor,
  topologicalOrder,
  type Value,
} from "@dcae/core/graph";
import { expectClose, GRADIENT_TOLERANCE } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect, test } from "vitest";
import { type AdversarialOptions, adversarialStep } from "../../src/phases/adversarial.js";
import { reconstructionObjective } from "../../src/phases/reconstruction.js";
import { type OptimizeForwardOptions, optimizeForward } from "../../src/step/optimize-forward.js";
import { completeWeights, createTrainingState } from "../../src/step/training-state.js";
import {
  type GradientStepOptions,
  gradientStep,
  type OptimizerOptions,
  stateProgram,
  stepProgram,
} from "../../src/step/training-step.js";

const engine = useEngine();

const IMAGES = [2, 3, 16, 16] as const;

/** One of everything that is rewritten: 3x3 convolutions, both shortcuts, shuffles, a mean over channels, depthwise convolutions. */
function model(scope: Scope, x: Value): Value {
  const [encoder, decoder] = [scope.at("encoder"), scope.at("decoder")];
  const wide = conv(encoder.at("in"), x, { outChannels: 8 });
  const down = downsampleBlock(encoder.at("down"), wide, 16, "ConvPixelUnshuffle", "averaging");
  const mixed = resBlock(decoder.at("block"), down, { norm: "trms2d", act: "silu" });
  // Not on the sum itself: batch norm would cancel the biases, and their gradients would be rounding errors.
  const normalized = norm(decoder.at("norm"), silu(mixed), "bn2d");
  // 16 channels per depthwise convolution and more, so that they take the runtime's blocked layout.
  const gated = add(
    gluMbConv(decoder.at("local"), normalized, { expansion: 1, norm: "trms2d", act: "silu" }),
    normalized,
  );
  const up = upsampleBlock(decoder.at("up"), gated, 8, "ConvPixelShuffle", "duplicating");
  return conv(decoder.at("out"), up, { outChannels: 3 });
}

const reconstruction = { reconstruct: model, images: IMAGES, lpipsWeight: 0 };
const optimizer: OptimizerOptions = {
  name: "autoencoder",
  kind: "adamw",
  schedule: { kind: "constant", lr: 0.01 },
  clipNorm: 0.5,
};
const EVERYWHERE: OptimizeForwardOptions = { chooseWinograd: () => 4 };

/** The state after one update, and its metrics. */
async function updateOnce(program: Program): Promise<Map<string, Tensor>> {
  const weights = completeWeights([program], NO_WEIGHTS, 5);
  const state = await createTrainingState(engine, [program], weights);
  const loaded = await engine.load(program, weights, { state });
  const x = Tensor.float32(createRandom(1, 3).uniform(new Float32Array(sizeOf(IMAGES)), -1, 1), IMAGES);
  const metrics = await loaded.run({ x });
  const after = await state.readAll();
  await Promise.all([loaded.dispose(), state.dispose()]);
  return new Map([...after, ...Object.entries(metrics)]);
}

/** First moments are a tenth of the gradients; weights after Adam's first step only know the gradients' signs. */
function expectSameUpdate(actual: Map<string, Tensor>, expected: Map<string, Tensor>): void {
  const compared = [...expected.keys()].filter(
    (name) => !name.includes(".v.") && !expected.has(`adamw.autoencoder.m.${name}`),
  );
  expect(compared.filter((name) => name.startsWith("adamw.autoencoder.m.")).length).toBeGreaterThan(10);
  expect(compared).toContain("decoder.norm.running_var");
  for (const name of compared) {
    if (expected.has(`adamw.discriminator.m.${name}`)) continue;
    expectClose(actual.get(name)!, expected.get(name)!, GRADIENT_TOLERANCE, name);
  }
}

const ops = (program: Program): Value[] => topologicalOrder([...program.outputs.values(), ...program.updates.values()]);
const directConvolutions = (program: Program) =>
  ops(program).filter(
    (value) => value.op === "conv2d" && value.attributes.groups === 1 && value.inputs[1].shape[2] === 3,
  ).length;

test.each([false, true])("a reconstruction step, recomputed: %s", async (recompute) => {
  const build = (optimize: NonNullable<GradientStepOptions["optimize"]>) =>
    stepProgram(
      gradientStep(reconstructionObjective(reconstruction), () => true, { recompute, optimize }),
      optimizer,
    );
  const [plain, optimized] = [build(false), build(EVERYWHERE)];
  expect(directConvolutions(plain)).toBeGreaterThan(10);
  expect(directConvolutions(optimized)).toBe(0);
  expect(ops(plain).some(({ op }) => op === "pixelShuffle")).toBe(true);
  expect(ops(optimized).some(({ op }) => op === "pixelShuffle" || op === "pixelUnshuffle")).toBe(false);
  expectSameUpdate(await updateOnce(optimized), await updateOnce(plain));
});

test("an adversarial step", async () => {
  const gan: AdversarialOptions = {
    ...reconstruction,
    trains: (name) => name.startsWith("decoder."),
    lastLayer: "decoder.out.weight",
    discriminator: { width: 4, layers: 1 },
    generatorOptimizer: optimizer,
    discriminatorOptimizer: { ...optimizer, name: "discriminator" },
  };
  const build = (optimize: NonNullable<GradientStepOptions["optimize"]>) =>
    stateProgram("gan", adversarialStep({ ...gan, optimize }));
  const [plain, optimized] = [build(false), build(EVERYWHERE)];
  expect(directConvolutions(optimized)).toBe(0);
  expectSameUpdate(await updateOnce(optimized), await updateOnce(plain));
});

test("what needs no other form stays the same value", () => {
  const x = input("x", IMAGES);
  const once = optimizeForward([x], EVERYWHERE);
  expect(once).toEqual([x]);
  expect(once[0]).toBe(x);
});

test("a second pass changes nothing, so that parts may be optimized one after the other", () => {
  const program = stepProgram(
    gradientStep(reconstructionObjective(reconstruction), () => true, { optimize: EVERYWHERE }),
    optimizer,
  );
  const loss = program.outputs.get("loss") as Value;
  expect(optimizeForward([loss], EVERYWHERE)[0]).toBe(loss);
});
