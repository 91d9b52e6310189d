/** Autoencoders that train with drawn counts of latent channels, against models that compute fewer channels in the first place. */
import { join } from "node:path";
import { createProgram, createRandom, type Program, type Scope, sizeOf, Tensor, type Value } from "@dcae/core/graph";
import { dcAeDecode, dcAeEncode } from "@dcae/core/models";
import type { NamedTensors } from "@dcae/core/runtime";
import { expectClose } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect, test } from "vitest";
import { channelsSchema, type TrainingConfigInput } from "../../src/configs/schema.js";
import { CHANNEL_MASK, channelMask, channelMasks } from "../../src/data/channel-counts.js";
import { sceneSource } from "../../src/data/picture-source.js";
import { readMetrics } from "../../src/logging/metrics-log.js";
import { adversarialGradients } from "../../src/phases/adversarial.js";
import { lastLayerName, trainingRule } from "../../src/phases/phase-parameters.js";
import { reconstructionObjective } from "../../src/phases/reconstruction.js";
import { completeWeights, createTrainingState } from "../../src/step/training-state.js";
import { type GradientStep, gradientStep } from "../../src/step/training-step.js";
import { autoencoderStages, reconstructor } from "../../src/trainer/autoencoder-stages.js";
import { reconstructionEvaluation } from "../../src/trainer/evaluate-reconstruction.js";
import { describeModel } from "../../src/trainer/phase-start.js";
import { formatPlan, planTraining } from "../../src/trainer/plan-training.js";
import { loadStages, stagePrograms, type UpdateStage } from "../../src/trainer/update-stage.js";
import { ADAPTIVE_MODEL, CHANNEL_PHASES, TINY_PHASES, tinyTraining } from "../support/tiny-training.js";
import { expectSameBits, train } from "../support/train.js";

const folder = temporaryFolder();
const engine = useEngine();

type PhaseInput = TrainingConfigInput["phases"][number];
const CHANNELS = channelsSchema.parse({ counts: [1, 2, 4], draw: 3, always: "smallest-and-largest" });
/** Moments of rounding noise would move weights by the whole rate with the usual eps. */
const PLAIN = { schedule: { kind: "constant" as const, lr: 1e-2 }, eps: 1e-2 };

/** A phase of one picture of 16x16, and its model. */
function phaseOf(more: Partial<PhaseInput>) {
  const input = { ...TINY_PHASES.one, batch: 1, optimize: false, optimizer: PLAIN, ema: null, ...more };
  const config = tinyTraining([input], { model: ADAPTIVE_MODEL });
  return { phase: config.phases[0]!, model: describeModel(config).config };
}

const { phase, model } = phaseOf({ channels: CHANNELS });

/** Picture to reconstruction by the first channels, without a mask. */
const sliced = (count: number) => (scope: Scope, x: Value) =>
  dcAeDecode(scope, dcAeEncode(scope, x, model, { latentChannels: count }), model);

const IMAGES = [1, 3, 16, 16] as const;
const x = Tensor.float32(createRandom(1, 3).uniform(new Float32Array(sizeOf(IMAGES)), -1, 1), IMAGES);
const masked = (count: number) => ({ x, [CHANNEL_MASK]: channelMask(count, 4) });
const losses = { images: IMAGES, lpipsWeight: 0 };

/** A state of fresh weights with the programs of stages on it. */
async function open<T>(stages: readonly UpdateStage[], chunks: number, use: (on: Opened) => Promise<T>): Promise<T> {
  const weights = completeWeights(stagePrograms(stages), NO_WEIGHTS, 5);
  const state = await createTrainingState(engine, stagePrograms(stages), weights);
  const loaded = await loadStages(engine, stages, chunks, weights, state);
  try {
    const read = async (prefix: string) => {
      const found = await state.readAll([...state.specs.keys()].filter((name) => name.startsWith(prefix)));
      return new Map([...found].map(([name, tensor]) => [name.slice(prefix.length), tensor]));
    };
    return await use({ update: loaded.update, read });
  } finally {
    await loaded.dispose();
    await state.dispose();
  }
}
type Opened = {
  update: Awaited<ReturnType<typeof loadStages>>["update"];
  read: (prefix: string) => Promise<Map<string, Tensor>>;
};

async function run(program: Program, inputs: NamedTensors): Promise<NamedTensors> {
  const weights = completeWeights([program], NO_WEIGHTS, 5);
  const loaded = await engine.load(program, weights);
  try {
    return await loaded.run(inputs);
  } finally {
    await loaded.dispose();
  }
}

/** Gradients of a step by the names of weights, computed alone. */
async function gradientsOf({ weights, gradients }: GradientStep): Promise<Map<string, Tensor>> {
  const outputs = Object.fromEntries(weights.map(({ name }, i) => [`d ${name}`, gradients[i] as Value]));
  const found = await run(createProgram("gradients", outputs), { x });
  return new Map(Object.entries(found).map(([name, tensor]) => [name.slice(2), tensor]));
}

/** First moments after one update are 1 - beta1 times the mean of the gradients. */
function expectMoments(
  moments: ReadonlyMap<string, Tensor>,
  parts: readonly ReadonlyMap<string, Tensor>[],
  beta1 = 0.9,
): void {
  expect(moments.size).toBe(parts[0]!.size);
  for (const [name, { shape }] of parts[0]!) {
    const mean = new Float64Array(sizeOf(shape));
    for (const part of parts) {
      part
        .get(name)!
        .toFloat32()
        .forEach((value, i) => {
          mean[i] = (mean[i] as number) + ((1 - beta1) * value) / parts.length;
        });
    }
    expectClose(moments.get(name)!.toFloat32(), mean, 1e-4, name);
  }
}

test("an update is that of the mean of the losses of models that compute fewer channels", async () => {
  const [stage] = autoencoderStages(phase, model, null);
  const direct = new Map<number, { readonly gradients: Map<string, Tensor>; readonly loss: number }>();
  for (const count of CHANNELS.counts) {
    const step = gradientStep(reconstructionObjective({ ...losses, reconstruct: sliced(count) }), () => true);
    const { loss } = await run(createProgram("loss", { loss: step.metrics.loss as Value }), { x });
    direct.set(count, { gradients: await gradientsOf(step), loss: Number(loss?.at()) });
  }
  // Counts that are drawn twice count twice.
  for (const counts of [
    [1, 4, 2],
    [1, 2, 2],
  ]) {
    const parts = counts.map((count) => direct.get(count)!);
    await open([stage!], 3, async ({ update, read }) => {
      const { loss } = await update(1, counts.map(masked));
      expect(loss).toBeCloseTo(parts.reduce((sum, part) => sum + part.loss, 0) / 3, 5);
      const moments = await read("adamw.autoencoder.m.");
      expectMoments(
        moments,
        parts.map(({ gradients }) => gradients),
      );
      // Weights of channels that no count reaches don't move.
      const kernels = moments.get("decoder.project_in.conv.weight")!.toFloat32();
      for (let channel = 0; channel < 4; channel++) {
        const own = kernels.filter((_, i) => Math.floor(i / 9) % 4 === channel);
        expect(own.every((value) => value === 0)).toBe(channel >= Math.max(...counts));
      }
    });
  }
});

test("the adversarial update: gradients of both networks are means over the counts", async () => {
  const three = phaseOf({ ...TINY_PHASES.three, size: 16, gan: { width: 4, layers: 1, optimizer: PLAIN } });
  const channels = { ...CHANNELS, draw: 2 };
  const adversarial = { ...three.phase, batch: 1, optimize: false, channels };
  const stages = autoencoderStages({ ...adversarial, optimizer: phase.optimizer }, model, null);
  expect(stages).toHaveLength(2);
  const steps = [1, 4].map((count) =>
    adversarialGradients(
      {
        ...losses,
        reconstruct: sliced(count),
        trains: trainingRule(three.phase, model),
        lastLayer: lastLayerName(model),
        discriminator: { width: 4, layers: 1 },
        generatorOptimizer: { name: "autoencoder", kind: "adamw", schedule: PLAIN.schedule },
        discriminatorOptimizer: { name: "discriminator", kind: "adamw", schedule: PLAIN.schedule },
      },
      "both",
    ),
  );
  for (const [i, network] of (["generator", "discriminator"] as const).entries()) {
    const gradients = await Promise.all(steps.map((step) => gradientsOf(step[network])));
    await open([stages[i]!], 2, async ({ update, read }) => {
      await update(1, [masked(1), masked(4)]);
      expectMoments(await read(`adamw.${network === "generator" ? "autoencoder" : network}.m.`), gradients);
    });
  }
});

test("evaluations and their pictures are by count, and the score is their mean", async () => {
  const weights = completeWeights(stagePrograms(autoencoderStages(phase, model, null)), NO_WEIGHTS, 5);
  const state = await createTrainingState(engine, [], weights);
  const of = (reconstruct: ReturnType<typeof sliced>, masks?: ReturnType<typeof channelMasks>) =>
    reconstructionEvaluation({
      ...{ engine, reconstruction: { ...losses, reconstruct }, masks, count: 3, seed: 0, ema: null, workers: 0 },
      sources: [{ source: sceneSource({ seed: 1, count: 3 }) }],
    })(state, weights);
  try {
    const { metrics, pictures, score } = await of(reconstructor(model, true), channelMasks(CHANNELS, 4));
    const alone = await Promise.all(CHANNELS.counts.map((count) => of(sliced(count))));
    expect(Object.keys(metrics)).toEqual(["l1_c1", "psnr_c1", "l1_c2", "psnr_c2", "l1_c4", "psnr_c4"]);
    CHANNELS.counts.forEach((count, i) => {
      expect(metrics[`l1_c${count}`]).toBeCloseTo(alone[i]!.metrics.l1!, 5);
      expect(metrics[`psnr_c${count}`]).toBeCloseTo(alone[i]!.metrics.psnr!, 3);
    });
    expect(Object.keys(pictures!)).toEqual(["reconstructions_c1", "reconstructions_c2", "reconstructions_c4"]);
    expect(score).toBeCloseTo(alone.reduce((sum, part) => sum + part.score!, 0) / 3, 5);
  } finally {
    await state.dispose();
  }
});

test("an adversarial phase goes on with the same bits", async () => {
  const config = tinyTraining([CHANNEL_PHASES[2]!], { model: ADAPTIVE_MODEL });
  await expectSameBits(engine, folder, config);
  const rows = await readMetrics(join(folder, "whole", "phase3", "metrics.jsonl"));
  expect(rows.some((row) => "eval_psnr_c1" in row && "eval_psnr_c4" in row)).toBe(true);
  // Another rule is another run.
  const other = { ...CHANNEL_PHASES[2]!, steps: 3, channels: { counts: [1, 4] } };
  await expect(train(engine, join(folder, "whole"), tinyTraining([other], { model: ADAPTIVE_MODEL }))).rejects.toThrow(
    /other settings: channels/,
  );
});

test("plans say the counts, and models that take all channels only are refused", () => {
  const [plan] = planTraining(tinyTraining([CHANNEL_PHASES[1]!], { model: ADAPTIVE_MODEL }));
  expect(formatPlan(plan!)).toContain("the first 1, 2, 4 of 4 latent channels, per update the largest, 1 at random");
  expect(() => planTraining(tinyTraining([CHANNEL_PHASES[0]!]))).toThrow(/phase1: the model isn't adaptive/);
  const tooMany = { ...CHANNEL_PHASES[0]!, channels: { counts: [2, 5] } };
  expect(() => planTraining(tinyTraining([tooMany], { model: ADAPTIVE_MODEL }))).toThrow(/5 of 4 latent channels/);
});
