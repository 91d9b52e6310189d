/** Distillation: what the student takes from its teacher, what it learns, and what is refused. */
import { join } from "node:path";
import { AutoencoderDC, loadAutoencoder, Tensor } from "@dcae/core";
import { initialWeights } from "@dcae/core/checkpoint";
import { createProgram, createRandom, createScope, input } from "@dcae/core/graph";
import { saveCheckpoint } from "@dcae/core/internal";
import { type ModelDescription, modelParameters } from "@dcae/core/models";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import type { DistillOptions } from "../../src/configs/distill-config.js";
import { parseTrainingConfig, type TrainingConfig } from "../../src/configs/schema.js";
import { readMetrics } from "../../src/logging/metrics-log.js";
import { distillation } from "../../src/phases/distillation.js";
import { inspectTraining } from "../../src/trainer/inspect-training.js";
import { planTraining } from "../../src/trainer/plan-training.js";
import { describeTeacher, openTeacher } from "../../src/trainer/teacher.js";
import { architecture, distilled, GAUSSIAN, NARROW, OTHER, saveTeacher, TEACHER } from "../support/teachers.js";
import { TINY_MODEL } from "../support/tiny-training.js";
import { tensorBytes, train } from "../support/train.js";

const folder = temporaryFolder();
const engine = useEngine();
const place = (kind: string) => join(folder, kind);
beforeAll(() => Promise.all([TEACHER, OTHER, GAUSSIAN].map((model) => saveTeacher(folder, model))));

const X = Tensor.float32(createRandom(3).uniform(new Float32Array(2 * 3 * 16 * 16), -1, 1), [2, 3, 16, 16]);

/** What the program at `path` makes of `X`, without training code: latents and decodes of these. */
async function usedAlone(path: string) {
  const autoencoder = await loadAutoencoder(path, { device: "cpu", threads: 1 });
  try {
    const latent = await autoencoder.encodeLatent(X);
    return { latent, decoded: await autoencoder.decode(latent) };
  } finally {
    await autoencoder.dispose();
  }
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

test.each([TEACHER, OTHER, GAUSSIAN])(
  "the losses of a $kind teacher are what the two models say on their own",
  async (model) => {
    const scalingFactor = 0.8;
    const config = distilled(folder, model, TINY_MODEL, {
      ...{ trains: ["encoder", "decoder"], decodesWeight: 0.3, latentWeight: 0.7, scalingFactor },
    });
    const student = { ...TEACHER, config: architecture(TINY_MODEL) };
    await saveCheckpoint(student, initialWeights(modelParameters(student), 5), place("student"), { overwrite: true });
    const [own, others] = [await usedAlone(place("student")), await usedAlone(place(model.kind))];
    const scale = (model.scalingFactor as number) / scalingFactor;
    const target = others.latent.toFloat32().map((value) => value * scale);
    const latent = meanOf([...own.latent.toFloat32()].map((value, i) => (scalingFactor * (value - target[i]!)) ** 2));

    const open = await openTeacher(config);
    const both = { encoder: true, decoder: true };
    const { reconstruct, terms } = distillation({ teacher: open!.teacher, student: student.config, trains: both });
    const [root, x] = [createScope(), input("x", [2, 3, 16, 16])];
    const y = reconstruct(root, x);
    const [ofLatents, ofDecodes] = terms(root, x, y);
    const program = createProgram("losses", { y, latent: ofLatents!.value, decodes: ofDecodes!.value });
    const fresh = initialWeights(modelParameters(student), 5);
    const weights = { ...fresh, entries: new Map([...fresh.entries, ...open!.weights.entries]) };
    const loaded = await engine.load(program, weights);
    const found = await loaded.run({ x: X });
    await loaded.dispose();
    await open!.weights.close();
    expect(Number(found.latent!.at()) / latent).toBeCloseTo(1, 4);
    const decoder = await loadAutoencoder(place("student"), { device: "cpu", threads: 1 });
    const expected = (await decoder.decode(Tensor.float32(target, own.latent.shape))).toFloat32();
    await decoder.dispose();
    const [made, taught] = [found.y!.toFloat32(), others.decoded.toFloat32()];
    expect(Math.max(...made.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(1e-5);
    const decodes = meanOf([...made].map((value, i) => Math.abs(value - taught[i]!)));
    expect(Number(found.decodes!.at()) / decodes).toBeCloseTo(1, 4);
    expect([ofLatents!.weight, ofDecodes!.weight]).toEqual([0.7, 0.3]);
  },
);

test("a decoder for the latents of a teacher: its encoder is taken over bit for bit, and the decoder learns", async () => {
  const { results, messages } = await train(
    engine,
    join(folder, "decoder"),
    distilled(folder, TEACHER, NARROW, { steps: 12 }),
  );
  expect(messages).toContain(`starting from a fresh model of seed 0, with the encoder of ${place("dc-ae")}`);
  const [before, after] = await Promise.all(
    [place("dc-ae"), results[0]!.model!].map((path) => tensorBytes(join(path, "model.safetensors"))),
  );
  for (const [name, bytes] of before!) {
    if (name.startsWith("encoder.")) expect(Buffer.from(after!.get(name)!).equals(bytes), name).toBe(true);
  }
  expect([...after!.keys()].filter((name) => !/^(en|de)coder\./.test(name))).toEqual([]);
  const losses = (await readMetrics(join(results[0]!.directory, "metrics.jsonl"))).filter((row) => "loss" in row);
  expect(losses[0]).not.toHaveProperty("latent");
  expect(losses.at(-1)!.l1).toBeLessThan(losses[0]!.l1 as number);
  const student = await AutoencoderDC.fromPretrained(results[0]!.model!, { device: "cpu" });
  expect(student.scalingFactor).toBe(0.5);
  await student.dispose();
});

test("the plan and the needs of a distillation name its teacher", async () => {
  const config = distilled(folder, GAUSSIAN, TINY_MODEL, { trains: ["encoder", "decoder"], decodesWeight: 0.5 });
  expect(planTraining(config)[0]!.losses).toEqual(["L1", "latents of the teacher", "decodes of the teacher"]);
  expect(planTraining(distilled(folder, TEACHER, NARROW))[0]!.losses).toEqual(["L1"]);
  expect((await inspectTraining(config)).found).toContain(`latents of ${place("sd-vae")}`);
});

describe("what doesn't go together is refused before anything is opened", () => {
  const wide = { ...TINY_MODEL, latentChannels: 8 };
  const coarse = {
    latentChannels: 4,
    encoder: { widthList: [4, 8], depthList: [0, 1] },
    decoder: { widthList: [4, 8], depthList: [0, 1] },
  };
  const noDecoder = { ...OTHER, config: { ...OTHER.config, decoder: null } };
  const noEncoder = { ...OTHER, config: { ...OTHER.config, encoder: null } };
  const both = { trains: ["encoder", "decoder"] } as const;
  const plain =
    (model: ModelDescription, student = TINY_MODEL, more: Partial<DistillOptions> = {}) =>
    () =>
      describeTeacher(distilled(folder, model, student, more));
  test.each([
    [plain(TEACHER, wide), "teacher: has latents of 4 channels at 1/4, the student 8 channels at 1/4"],
    [plain(TEACHER, coarse as typeof TINY_MODEL), "the student 4 channels at 1/2"],
    [plain(noEncoder, TINY_MODEL, both), "teacher: has no encoder"],
    [plain(noDecoder, TINY_MODEL, { ...both, decodesWeight: 1 }), "teacher.decodesWeight: the teacher has no decoder"],
    [
      plain(OTHER, TINY_MODEL, { trains: ["decoder"] }),
      "the student's encoder isn't the teacher's, and no phase trains it",
    ],
    [
      plain({ ...TEACHER, scalingFactor: null }, TINY_MODEL, { scalingFactor: 2 }),
      "teacher.scalingFactor: has no meaning",
    ],
    [
      () =>
        planTraining({ ...distilled(folder, OTHER, TINY_MODEL, { ...both, gan: true, size: 32 }), phases: withGan() }),
      "can't train with a GAN",
    ],
  ])("%#", (run, message) => expect(run).toThrow(message));

  function withGan(): TrainingConfig["phases"] {
    const config = distilled(folder, OTHER, TINY_MODEL, { ...both, gan: true, size: 32 });
    return [{ ...config.phases[0]!, gan: config.phases[1]!.gan }];
  }
});

test("weights of another model than the configuration describes are refused", async () => {
  const config = distilled(folder, { ...GAUSSIAN }, TINY_MODEL, { trains: ["encoder", "decoder"] });
  const wrong = parseTrainingConfig({ ...config, teacher: { ...config.teacher!, init: place("tiny") } });
  await expect(train(engine, join(folder, "wrong"), wrong)).rejects.toThrow(
    "is another model than teacher.config describes",
  );
});
