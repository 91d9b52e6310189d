/** Runs of tiny trainings in a folder of the test's own. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Engine } from "@dcae/core";
import { openSafetensorsFile } from "@dcae/core/checkpoint";
import { expect } from "vitest";
import type { TrainingConfig } from "../../src/configs/schema.js";
import type { ProgressState } from "../../src/logging/progress.js";
import { type TrainAutoencoderOptions, trainAutoencoder } from "../../src/trainer/train-autoencoder.js";
import { tinyTraining } from "./tiny-training.js";

export const hashFile = async (path: string) =>
  createHash("sha256")
    .update(await readFile(path))
    .digest("hex");

export const statePath = (directory: string, step: number) =>
  join(directory, "checkpoints", `step-${String(step).padStart(8, "0")}`, "state.safetensors");

/** Bytes of all tensors of a file, by name. */
export async function tensorBytes(path: string): Promise<Map<string, Uint8Array>> {
  const file = await openSafetensorsFile(path);
  const read = new Map<string, Uint8Array>();
  for (const [name, entry] of file.entries) read.set(name, (await entry.read()).bytes);
  await file.close();
  return read;
}

/** Trains in `directory`; messages are collected. */
export async function train(
  engine: Engine,
  directory: string,
  config = tinyTraining(),
  more: Partial<TrainAutoencoderOptions> = {},
) {
  const messages: string[] = [];
  const onMessage = (text: string) => messages.push(text);
  const results = await trainAutoencoder({ config, directory, engine, onMessage, ...more });
  return { directory, results, messages };
}

/** Trains twice, in `whole` and in `stopped`, where every phase is stopped after its first update: all states must be equal. */
export async function expectSameBits(engine: Engine, folder: string, config: TrainingConfig): Promise<void> {
  const whole = await train(engine, join(folder, "whole"), config);
  expect(whole.results.map(({ status }) => status)).toEqual(config.phases.map(() => "finished"));
  for (const { name } of config.phases) {
    const controller = new AbortController();
    const progress = () => ({
      show: ({ step }: ProgressState) => step === 1 && controller.abort(),
      clear: () => undefined,
    });
    const { results } = await train(engine, join(folder, "stopped"), config, { signal: controller.signal, progress });
    expect(results.at(-1)).toMatchObject({ phase: name, status: "stopped", step: 1 });
  }
  await train(engine, join(folder, "stopped"), config);
  for (const { name, steps } of config.phases) {
    const [one, other] = ["whole", "stopped"].map((run) => statePath(join(folder, run, name), steps));
    expect(await hashFile(other as string), name).toBe(await hashFile(one as string));
  }
}

/** The largest difference of two checkpoints' weights, in units of the largest weight. */
export async function difference(a: string, b: string): Promise<number> {
  const [first, second] = [await tensorBytes(a), await tensorBytes(b)];
  expect([...first.keys()]).toEqual([...second.keys()]);
  let [error, largest] = [0, 0];
  for (const [name, bytes] of first) {
    if (/^(adamw|accumulated)\.|num_batches_tracked$/.test(name)) continue;
    const [x, y] = [bytes, second.get(name)!].map((raw) => new Float32Array(raw.slice().buffer));
    x!.forEach((value, i) => {
      error = Math.max(error, Math.abs(value - y![i]!));
      largest = Math.max(largest, Math.abs(value));
    });
  }
  return error / largest;
}
