/**
 * Checkpoints of a run: one folder per checkpoint with everything that changes while training.
 *
 * `state.safetensors` holds what the engine updates (weights that train, moments, averages, counters, running statistics);
 * `checkpoint.json` the step, the position in the data, the best score, and what the run was made of. Randomness needs no state of
 * its own: it is a function of the seed and the position. A folder appears whole or not at all, so that a run killed at any
 * moment goes on from its newest one.
 */

import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  errorCode,
  fileError,
  findNonFinite,
  openSafetensorsFile,
  readJson,
  temporaryStem,
  type Weights,
  writeDirectoryAtomic,
  writeFileAtomic,
  writeSafetensorsFile,
} from "@dcae/core/checkpoint";
import { CheckpointError, ConfigError, errorMessage, type Tensor } from "@dcae/core/graph";
import { plural, removeFile } from "@dcae/core/internal";
import type { EngineState } from "@dcae/core/runtime";
import { z } from "zod";
import { TrainingError } from "./training-run.js";

const VERSION = 1;
const STATE_FILE = "state.safetensors";
const NOTES_FILE = "checkpoint.json";
const MAX_NOTES_BYTES = 64 * 2 ** 20;
const NAME = /^step-(\d{8,})$/;

const notesSchema = z.strictObject({
  version: z.literal(VERSION),
  step: z.int().min(1),
  /** Where the next batch starts; the loader's own. */
  position: z.unknown(),
  /** The best evaluation so far, and the metric that its score is; without one it is the loss. */
  best: z.strictObject({ step: z.int(), score: z.number(), metric: z.string().optional() }).nullable(),
  /** The evaluation of this step was interrupted, and is made when the run goes on. */
  pending: z.literal(true).optional(),
  /** What the run is made of: nothing of it may change under a resumed run. */
  identity: z.record(z.string(), z.unknown()),
  /** Hash of the tensors that the programs read and don't change. */
  frozen: z.string(),
  /** What computed it: only there the run goes on with the same bits. */
  computedBy: z.string().optional(),
  /** The whole configuration, for readers. */
  config: z.unknown().optional(),
});

export type CheckpointNotes = z.infer<typeof notesSchema>;

export interface OpenCheckpoint {
  readonly path: string;
  readonly notes: CheckpointNotes;
  readonly state: Weights;
}

const nameOf = (step: number) => `step-${String(step).padStart(8, "0")}`;

/** Steps of the checkpoints in `folder`, ascending. */
export async function listCheckpoints(folder: string): Promise<number[]> {
  try {
    const steps = (await readdir(folder)).map((name) => Number(NAME.exec(name)?.[1] ?? Number.NaN));
    return steps.filter((step) => !Number.isNaN(step)).sort((a, b) => a - b);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw fileError(error, folder, "read");
  }
}

export function checkpointPath(folder: string, step: number): string {
  return join(folder, nameOf(step));
}

/**
 * Saves the state as it is after update `notes.step`, one tensor at a time.
 *
 * @throws TrainingError when the state isn't finite (nothing is written then), DataError when it can't be written
 */
export async function writeCheckpoint(
  folder: string,
  state: EngineState,
  notes: Omit<CheckpointNotes, "version">,
): Promise<string> {
  const path = checkpointPath(folder, notes.step);
  const entries = [...state.specs].map(([name, { dtype, shape }]) => ({
    name,
    dtype,
    shape,
    read: async () => requireFinite(await state.read(name), name, notes.step),
  }));
  const text = `${JSON.stringify({ version: VERSION, ...notes }, undefined, 2)}\n`;
  await writeDirectoryAtomic(
    path,
    async (temporary) => {
      await writeSafetensorsFile(join(temporary, STATE_FILE), entries);
      await writeFileAtomic(join(temporary, NOTES_FILE), (file) => file.write(new TextEncoder().encode(text)));
    },
    { overwrite: true, isOldContent: () => true },
  );
  return path;
}

function requireFinite(tensor: Tensor, name: string, step: number): Tensor {
  const found = findNonFinite(tensor);
  if (found === undefined) return tensor;
  throw new TrainingError(
    `"${name}" has ${plural(found.count, "value")} that ${found.count === 1 ? "is" : "are"} NaN or infinite`,
    step,
  );
}

/**
 * Opens a checkpoint; close its `state` when done.
 *
 * @throws CheckpointError when it is damaged or of another version
 */
export async function openCheckpointFolder(path: string): Promise<OpenCheckpoint> {
  const hint = "Remove this folder to go on from the checkpoint before it.";
  try {
    const notes = notesSchema.parse(await readJson(join(path, NOTES_FILE), MAX_NOTES_BYTES));
    return { path, notes, state: await openSafetensorsFile(join(path, STATE_FILE)) };
  } catch (error) {
    throw new CheckpointError(`${path}: not a usable checkpoint: ${errorMessage(error)}`, { cause: error, hint });
  }
}

/** Removes all checkpoints but the newest `keep` and that of the step `best`. */
export async function pruneCheckpoints(folder: string, keep: number, best?: number): Promise<void> {
  const steps = await listCheckpoints(folder);
  for (const step of steps.slice(0, Math.max(steps.length - keep, 0))) {
    if (step === best) continue;
    await removeFile(checkpointPath(folder, step));
  }
}

/** Makes the folder of checkpoints, without what a killed process left in it; the run's lock says that nobody writes there. */
export async function prepareCheckpoints(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(folder)) {
      const stem = temporaryStem(name);
      if (stem !== undefined && NAME.test(stem)) await rm(join(folder, name), { recursive: true, force: true });
    }
  } catch (error) {
    throw fileError(error, folder, "write");
  }
}

export interface ResumeOptions {
  /** The run's folder, for messages. */
  readonly directory: string;
  /** False refuses a folder with checkpoints. */
  readonly resume?: boolean;
  /** What may not change when the run is resumed, as JSON. */
  readonly identity: Readonly<Record<string, unknown>>;
}

/** Ends of schedules: a run that goes on for longer may have them later. */
const MAY_CHANGE = new Set(["stableSteps", "totalSteps", "maxSteps", "decaySteps"]);

/** Settings that checkpoints of earlier versions don't have, with the value that they stood for. */
const LATER: Readonly<Record<string, unknown>> = { factor: 1 };

/** As JSON has it, since a default that isn't written is undefined on one side only. */
function comparable(identity: Readonly<Record<string, unknown>>, key: string): string | undefined {
  return JSON.stringify(identity[key], (name, value: unknown) =>
    MAY_CHANGE.has(name) || (Object.hasOwn(LATER, name) && LATER[name] === value) ? undefined : value,
  );
}

/**
 * The newest checkpoint in `folder`, or undefined at the beginning. Close its `state`.
 *
 * @throws ConfigError when the run mustn't be resumed, or was started with other settings
 */
export async function newestCheckpoint(folder: string, options: ResumeOptions): Promise<OpenCheckpoint | undefined> {
  const newest = (await listCheckpoints(folder)).at(-1);
  if (newest === undefined) return undefined;
  if (options.resume === false) {
    throw new ConfigError(`${options.directory}: there is a run with checkpoints in this folder`, {
      hint: "Resume it, or choose another folder.",
    });
  }
  const checkpoint = await openCheckpointFolder(checkpointPath(folder, newest));
  const [then, now] = [checkpoint.notes.identity, options.identity];
  const changed = [...new Set([...Object.keys(then), ...Object.keys(now)])].filter(
    (key) => comparable(then, key) !== comparable(now, key),
  );
  if (changed.length === 0) return checkpoint;
  await checkpoint.state.close();
  throw new ConfigError(`${options.directory}: this run was started with other settings: ${changed.join(", ")}`, {
    hint: "Resume it with the same ones, or start another run from its model.",
  });
}
