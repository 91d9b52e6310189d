/** The three phases of a tiny training: what they change, write and refuse. */
import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { AutoencoderDC, Tensor } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import { createScope, input, sizeOf } from "@dcae/core/graph";
import { openCheckpoint } from "@dcae/core/internal";
import { lpips } from "@dcae/core/nets";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test } from "vitest";
import type { TrainingConfig } from "../../src/configs/schema.js";
import { readMetrics } from "../../src/logging/metrics-log.js";
import type { TrainAutoencoderOptions } from "../../src/trainer/train-autoencoder.js";
import { TINY_MODEL, TINY_PHASES, tinyTraining } from "../support/tiny-training.js";
import { hashFile, tensorBytes, train } from "../support/train.js";

const folder = temporaryFolder();
const engine = useEngine();

const begin = (name: string, config?: TrainingConfig, more?: Partial<TrainAutoencoderOptions>) =>
  train(engine, join(folder, name), config, more);

let run: Awaited<ReturnType<typeof train>>;
beforeAll(async () => {
  run = await begin("whole");
});

test("each leaves a model that core loads, changed where its rule says and nowhere else", async () => {
  expect(run.results.map(({ phase, status, step }) => [phase, status, step])).toEqual([
    ["phase1", "finished", 6],
    ["phase2", "finished", 3],
    ["phase3", "finished", 4],
  ]);
  const [one, two, three] = await Promise.all(
    run.results.map(({ model }) => tensorBytes(join(model!, "model.safetensors"))),
  );
  const changed = (before: Map<string, Uint8Array>, after: Map<string, Uint8Array>) =>
    new Set(
      [...after]
        .filter(([name, bytes]) => !Buffer.from(bytes).equals(before.get(name)!))
        .map(([name]) => name.split(".op_list")[0]),
    );
  expect([...changed(one!, two!)].sort()).toEqual([
    "decoder.project_in.main.conv.bias",
    "decoder.project_in.main.conv.weight",
    "decoder.stages.2",
    "encoder.project_out.main",
    "encoder.stages.2",
  ]);
  expect([...changed(two!, three!)].sort()).toEqual(["decoder.project_out", "decoder.stages.1"]);
  const model = await AutoencoderDC.fromPretrained(run.results[2]!.model!, { device: "cpu" });
  const y = await model.reconstruct(Tensor.zeros([1, 3, 32, 32]));
  expect(y.shape).toEqual([1, 3, 32, 32]);
  await model.dispose();
  await (await openCheckpoint(join(run.directory, "phase1", "best-ema"))).weights.close();
});

test("metrics, curves, event files, sheets and the newest checkpoints are there", async () => {
  const files = join(run.directory, "phase1");
  const rows = await readMetrics(join(files, "metrics.jsonl"));
  const losses = rows.filter((row) => "loss" in row);
  expect(losses.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(losses[0]).toMatchObject({ l1: expect.any(Number), learning_rate: 2e-3, gradient_norm: expect.any(Number) });
  expect(losses[0]).not.toHaveProperty("lpips");
  const evaluations = rows.filter((row) => "eval_psnr" in row);
  expect(evaluations.map(({ step }) => step)).toEqual([0, 3, 6]);
  expect(await readdir(join(files, "checkpoints"))).toEqual(["step-00000004", "step-00000006"]);
  expect(await readdir(join(files, "samples"))).toEqual([
    "reconstructions-00000000.png",
    "reconstructions-00000003.png",
    "reconstructions-00000006.png",
  ]);
  expect((await readdir(files)).sort()).toEqual([
    "best",
    "best-ema",
    "checkpoints",
    "curves.png",
    "curves.svg",
    "events",
    "metrics.jsonl",
    "model",
    "model-ema",
    "parameters.tsv",
    "samples",
  ]);
  const gan = await readMetrics(join(run.directory, "phase3", "metrics.jsonl"));
  expect(gan[1]).toMatchObject({
    g_loss: expect.any(Number),
    d_loss: expect.any(Number),
    lambda: expect.any(Number),
  });
});

test("the averages differ from the weights and are what is evaluated", async () => {
  const files = join(run.directory, "phase1");
  expect(await hashFile(join(files, "model", "model.safetensors"))).not.toBe(
    await hashFile(join(files, "model-ema", "model.safetensors")),
  );
});

test("phases that have finished are passed over", async () => {
  const again = await begin("whole");
  expect(again.results).toEqual([]);
  expect(again.messages.filter((text) => text.includes("has finished already"))).toHaveLength(3);
});

test("a folder with a run isn't started over", async () => {
  await expect(begin("whole", tinyTraining(), { resume: false })).rejects.toThrow(/there is a run with checkpoints/);
});

test("a phase alone starts from the phase before it, or says what it needs", async () => {
  const config = tinyTraining();
  await expect(begin("alone", config, { phases: ["phase2"] })).rejects.toThrow(/phase2: there is no model of phase1/);
  await cp(join(run.directory, "phase1"), join(folder, "alone", "phase1"), { recursive: true });
  await begin("alone", config, { phases: ["phase2"] });
  expect(await hashFile(join(folder, "alone", "phase2", "model", "model.safetensors"))).toBe(
    await hashFile(join(run.directory, "phase2", "model", "model.safetensors")),
  );
  await expect(begin("alone", config, { phases: ["phase9"] })).rejects.toThrow(/there is no phase phase9/);
});

test("fine-tuning starts from a checkpoint and moves what the names say", async () => {
  const start = run.results[2]!.model!;
  const phase = {
    ...TINY_PHASES.two,
    name: "tune",
    trains: { kind: "names" as const, names: ["decoder.project_out"] },
  };
  const tuned = await begin("tuned", tinyTraining([phase], { init: start }));
  const [before, after] = [
    await tensorBytes(join(start, "model.safetensors")),
    await tensorBytes(join(tuned.results[0]!.model!, "model.safetensors")),
  ];
  const changed = [...after]
    .filter(([name, bytes]) => !Buffer.from(bytes).equals(before.get(name)!))
    .map(([name]) => name);
  expect(changed.length).toBeGreaterThan(1);
  expect(changed.every((name) => name.startsWith("decoder.project_out."))).toBe(true);
  const other = { ...TINY_MODEL, latentChannels: 8 };
  await expect(begin("other", tinyTraining([phase], { init: start, model: other }))).rejects.toThrow(
    /another model than the configuration describes: "encoder\.project_out\.main\..*" is \[4, .*expected \[8, /,
  );
});

/** Weights of LPIPS that nobody published: small, of both signs where the published ones are. */
function anyLpips(): Weights {
  const scope = createScope();
  const image = input("image", [1, 3, 16, 16]);
  lpips(scope, image, image);
  const entries = [...scope.parameters.values()].map(({ name, shape, dtype }) => {
    const offset = name.startsWith("lin") ? 0 : 0.5;
    const draw = (_: number, i: number) => (((i * 2654435761) % 2 ** 32) / 2 ** 32 - offset) * 0.1;
    const read = async () => Tensor.float32(new Float32Array(sizeOf(shape)).map(draw), shape);
    return [`lpips.${name}`, { name: `lpips.${name}`, shape, dtype, read }] as const;
  });
  return { source: "made up", entries: new Map(entries), close: async () => {} };
}

test("the perceptual loss takes part where its weights are given, and its weights don't train", async () => {
  const phase = { ...TINY_PHASES.one, steps: 1, evaluateEvery: 1, ema: null };
  const { results, directory } = await begin("perceptual", tinyTraining([phase], { perceptual: {} }), {
    lpips: anyLpips(),
  });
  const { loss, l1, lpips: term } = results[0]!.metrics as Record<string, number>;
  expect(term).toBeGreaterThan(0);
  expect(loss).toBeCloseTo(l1! + term!, 5);
  const saved = await tensorBytes(join(directory, "phase1", "checkpoints", "step-00000001", "state.safetensors"));
  expect([...saved.keys()].filter((name) => name.includes("lpips"))).toEqual([]);
  expect((await readMetrics(join(directory, "phase1", "metrics.jsonl")))[2]).toMatchObject({
    eval_lpips: expect.any(Number),
  });
});
