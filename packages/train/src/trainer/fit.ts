/**
 * The training loop, for any objective: batches in, updates on the engine, metrics, evaluations and checkpoints out.
 *
 * A run is a folder. Everything in it is a function of the settings, the seed and the data, so a run that was stopped or killed
 * goes on from its newest checkpoint and, on the same engine with the same number of threads, ends with the same bits as if it had
 * never stopped.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Weights } from "@dcae/core/checkpoint";
import { ConfigError } from "@dcae/core/graph";
import { encodeImage, type Image, saveImage } from "@dcae/core/image";
import type { Engine, EngineState, NamedTensors } from "@dcae/core/runtime";
import { createEventFile, createSpeed, openMetricsLog, type Progress, saveCurves } from "../logging/index.js";
import { createTrainingState } from "../step/index.js";
import {
  type CheckpointNotes,
  checkpointPath,
  prepareCheckpoints,
  pruneCheckpoints,
  writeCheckpoint,
} from "./checkpoint.js";
import { newestCheckpoint } from "./newest-checkpoint.js";
import { lockRun } from "./run-lock.js";
import { hashFrozen, restoredWeights, startWeights } from "./start-state.js";
import { TrainingError } from "./training-error.js";
import { loadStages, type Metrics, stagePrograms, type UpdateStage } from "./update-stage.js";

export interface TrainingBatch {
  readonly inputs: NamedTensors;
  /** Pictures in it, for the speed. */
  readonly images: number;
  /** Where the next batch starts, as JSON. */
  readonly position: unknown;
}

export interface TrainingBatches {
  next(): Promise<TrainingBatch>;
  close(): Promise<void>;
}

export interface Evaluation {
  readonly metrics: Metrics;
  /** Pictures to look at, by name. */
  readonly pictures?: Readonly<Record<string, Image>>;
  /** What "best" means: the smaller, the better. */
  readonly score?: number;
}

export interface FitOptions {
  /** The run's folder. */
  readonly directory: string;
  readonly engine: Engine;
  readonly stages: readonly UpdateStage[];
  /** Batches per update (gradient accumulation). Default 1. */
  readonly chunks?: number;
  /** Tensors to start from; fresh training state is added, drawn from `seed`. */
  readonly weights: Weights;
  readonly seed: number;
  /** Opens the data at a position of an earlier batch, or at the start. */
  readonly batches: (position: unknown) => Promise<TrainingBatches>;
  /** Updates in all. */
  readonly steps: number;
  /** What may not change when the run is resumed, as JSON. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** What each checkpoint tells its readers about the run, as JSON. */
  readonly config?: unknown;
  /** What decides the last bits beside the settings, as the engine and its threads. Default: the engine's name. */
  readonly computedBy?: string | undefined;
  /** Updates between checkpoints; there is always one at the end. Default 1000. */
  readonly checkpointEvery?: number;
  /** Checkpoints that are kept, beside that of the best evaluation if there is one. Default 3. */
  readonly keep?: number;
  /** Updates between lines of the log. Default 1. */
  readonly logEvery?: number;
  readonly evaluateEvery?: number;
  readonly evaluate?: ((state: EngineState, weights: Weights) => Promise<Evaluation>) | undefined;
  /** Writes the model as it is in the state: `best` after an evaluation that is the best so far, `model` at the end. */
  readonly exportModel?: ((state: EngineState, weights: Weights, directory: string) => Promise<void>) | undefined;
  /** Go on with what the folder holds (default); otherwise a folder with checkpoints is refused. */
  readonly resume?: boolean;
  /** Called when nothing speaks against the run: its folder is locked, and a checkpoint in it fits. */
  readonly onStart?: (() => Promise<void>) | undefined;
  /** Stops after the current update, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
  /** Metrics on the progress line. Default: the loss. */
  readonly shown?: readonly string[];
  /** Hears what a user should know. */
  readonly onMessage?: ((text: string) => void) | undefined;
}

export interface FitResult {
  readonly status: "finished" | "stopped";
  readonly step: number;
  /** The newest checkpoint; null when the run was stopped before its first one. */
  readonly checkpoint: string | null;
  readonly best: CheckpointNotes["best"];
  /** Of the last update that this call made. */
  readonly metrics: Metrics;
}

/** The files of a run. */
export function runFiles(directory: string) {
  return {
    checkpoints: join(directory, "checkpoints"),
    metrics: join(directory, "metrics.jsonl"),
    events: join(directory, "events"),
    curves: join(directory, "curves"),
    samples: join(directory, "samples"),
    best: join(directory, "best"),
    model: join(directory, "model"),
  } as const;
}

/**
 * Trains until `steps` updates are made or `signal` asks to stop.
 *
 * @throws TrainingError when it diverges, DataError when data can't be read, ConfigError when the folder can't be resumed
 */
export async function fit(options: FitOptions): Promise<FitResult> {
  const { directory, engine, stages, chunks = 1, seed, steps, keep = 3, logEvery = 1, signal, progress } = options;
  const { checkpointEvery = 1000, evaluateEvery = checkpointEvery, shown = ["loss"] } = options;
  const { computedBy = engine.name } = options;
  const files = runFiles(directory);
  const programs = stagePrograms(stages);
  // What is opened is closed in reverse, whatever happens.
  const opened: (() => Promise<unknown>)[] = [await lockRun(directory)];
  try {
    await prepareCheckpoints(files.checkpoints);
    const resumed = await newestCheckpoint(files.checkpoints, options);
    if (resumed !== undefined) opened.push(() => resumed.state.close());
    const fresh = startWeights(programs, options.weights, seed);
    const frozen = await hashFrozen(programs, fresh);
    if (resumed !== undefined && resumed.notes.frozen !== frozen) {
      throw new ConfigError(`${resumed.path}: weights that don't train differ from those the run was started with`, {
        hint: "Give the model that the run was started from.",
      });
    }
    const weights = resumed === undefined ? fresh : restoredWeights(programs, fresh, resumed);
    await options.onStart?.();
    const state = await createTrainingState(engine, programs, weights);
    opened.push(() => state.dispose());
    const loaded = await loadStages(engine, stages, chunks, weights, state);
    opened.push(() => loaded.dispose());

    let step = resumed?.notes.step ?? 0;
    let position = resumed?.notes.position;
    let best = resumed?.notes.best ?? null;
    let saved = step;
    let metrics: Metrics = {};
    if (resumed !== undefined) {
      options.onMessage?.(`resuming after update ${step} of ${steps}: ${resumed.path}`);
      const before = resumed.notes.computedBy ?? computedBy;
      if (before !== computedBy) {
        options.onMessage?.(
          `it was computed by ${before}, now by ${computedBy}: the last bits may differ from here on`,
        );
      }
    }
    const batches = await options.batches(position);
    opened.push(() => batches.close());
    const log = await openMetricsLog(files.metrics, step);
    opened.push(() => log.close());
    const events = await createEventFile(files.events, step);
    opened.push(() => events.close());
    const speed = createSpeed();

    const lastGood = () => (saved === 0 ? "there is no checkpoint yet" : checkpointPath(files.checkpoints, saved));
    const diverged = (at: number, problem: string) =>
      new TrainingError(`training diverged at update ${at}: ${problem}; the last good checkpoint: ${lastGood()}`, at, {
        hint: "Lower the learning rate, lengthen the warm-up, or clip the gradient norm, and start from that checkpoint.",
      });

    async function record(at: number, values: Metrics): Promise<void> {
      // Values are float32: more digits would be those of its representation.
      const short = Object.entries(values).map(([name, value]) => [name, Number(value.toPrecision(7))] as const);
      await log.append({ step: at, time: Date.now() / 1000, ...Object.fromEntries(short) });
      await events.scalars(at, values);
    }

    async function evaluateNow(): Promise<void> {
      if (options.evaluate === undefined) return;
      const { metrics: found, pictures = {}, score } = await options.evaluate(state, weights);
      const values = Object.fromEntries(Object.entries(found).map(([name, value]) => [`eval_${name}`, value]));
      await record(step, values);
      const wrong = Object.entries(found).find(([, value]) => !Number.isFinite(value));
      if (wrong !== undefined) throw diverged(step, `the evaluation's ${wrong[0]} is ${wrong[1]}`);
      for (const [name, image] of Object.entries(pictures)) {
        await mkdir(files.samples, { recursive: true });
        await saveImage(image, join(files.samples, `${name}-${String(step).padStart(8, "0")}.png`));
        const { width, height } = image;
        await events.picture(step, name, { png: await encodeImage(image, "png"), width, height });
      }
      const isBest = score !== undefined && (best === null || score < best.score);
      const texts = Object.entries(found).map(([name, value]) => `${name} ${Number(value.toPrecision(5))}`);
      options.onMessage?.(
        `update ${step} of ${steps}, evaluation: ${texts.join(", ")}${isBest ? ", the best so far" : ""}`,
      );
      if (!isBest) return;
      best = { step, score };
      await options.exportModel?.(state, weights, files.best);
    }

    async function save(): Promise<void> {
      if (step === saved) return;
      const { identity, config } = options;
      const notes = { step, position, best, identity: { ...identity }, frozen, computedBy, config };
      try {
        await writeCheckpoint(files.checkpoints, state, notes);
      } catch (error) {
        throw error instanceof TrainingError ? diverged(step, error.message) : error;
      }
      saved = step;
      await pruneCheckpoints(files.checkpoints, keep, best?.step);
      await saveCurves(files.metrics, files.curves, { title: directory });
    }

    speed.tick(0);
    while (step < steps && signal?.aborted !== true) {
      const chunk: TrainingBatch[] = [];
      for (let i = 0; i < chunks; i++) chunk.push(await batches.next());
      metrics = await loaded.update(
        step + 1,
        chunk.map(({ inputs }) => inputs),
      );
      const images = chunk.reduce((sum, batch) => sum + batch.images, 0);
      speed.tick(images);
      const wrong = Object.entries(metrics).find(([, value]) => !Number.isFinite(value));
      if (wrong !== undefined) {
        await record(step + 1, metrics);
        throw diverged(step + 1, `${wrong[0]} is ${wrong[1]}`);
      }
      step += 1;
      position = chunk.at(-1)?.position;
      const { imagesPerSecond, secondsPerStep } = speed;
      if (step % logEvery === 0 || step === steps) {
        await record(step, imagesPerSecond === null ? metrics : { ...metrics, images_per_second: imagesPerSecond });
      }
      progress?.show({
        step,
        steps,
        imagesPerSecond,
        secondsLeft: secondsPerStep === null ? null : secondsPerStep * (steps - step),
        metrics: Object.fromEntries(
          shown.flatMap((name) => (name in metrics ? [[name, metrics[name] as number]] : [])),
        ),
      });
      if (step % evaluateEvery === 0 || step === steps) await evaluateNow();
      if (step % checkpointEvery === 0) await save();
    }
    progress?.clear();
    await save();
    if (step >= steps) await options.exportModel?.(state, weights, files.model);
    const status = step >= steps ? "finished" : "stopped";
    const checkpoint = saved === 0 ? null : checkpointPath(files.checkpoints, saved);
    return { status, step, checkpoint, best, metrics };
  } finally {
    progress?.clear();
    for (const close of opened.reverse()) await close();
  }
}
