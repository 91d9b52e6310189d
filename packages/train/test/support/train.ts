/** Runs of tiny trainings in a folder of the test's own. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Engine } from "@dcae/core";
import { openSafetensorsFile } from "@dcae/core/checkpoint";
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
