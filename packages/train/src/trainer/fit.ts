/**
 * The training loop, for any objective: batches in, updates on the engine, metrics, evaluations and checkpoints out.
 *
 * A run is a folder. Everything in it is a function of the settings, the seed and the data, so a run that was stopped or killed
 * goes on from its newest checkpoint and, on the same engine with the same number of threads, ends with the same bits as if it had
 * never stopped.
 */
import type { Weights } from "@dcae/core/checkpoint";
import type { Image } from "@dcae/core/image";
import { type Communicator, isFirst, together } from "@dcae/core/internal";
import { type Engine, type EngineState, withClosing } from "@dcae/core/runtime";
import type { TrainingBatch, TrainingBatches } from "../data/training-batches.js";
import { createSpeed, type TrainingProgress } from "../logging/progress.js";
import { type CheckpointNotes, checkpointPath } from "./checkpoint.js";
import { openRun, type Run } from "./open-run.js";
import { runFiles } from "./run-record.js";
import type { Metrics, UpdateStage } from "./update-stage.js";

/** Which way a number is better. */
export type Better = "lower" | "higher";

/** What an evaluation during a training found. */
export interface Evaluation {
  readonly metrics: Metrics;
  /** Pictures to look at, by name. */
  readonly pictures?: Readonly<Record<string, Image>>;
  /** What "best" goes by. */
  readonly score?: number;
  /** Which way the score is better. Default "lower". */
  readonly better?: Better;
  /** The metric that the score is, where it is one. */
  readonly scoredBy?: string;
}

/** Evaluates the model in its present state; undefined where a signal interrupted it, so that it is made when the run goes on. */
export type Evaluate = (state: EngineState, weights: Weights) => Promise<Evaluation | undefined>;

/** Options of `fit`. */
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
  /** The ranks that train together; the stages' programs are those of one of them. Default: this process alone. */
  readonly ranks?: Communicator | undefined;
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
  /**
   * Runs before the first update, every `evaluateEvery` updates and after the last one. Where the signal interrupted it, it gives
   * undefined, and runs again when the run goes on.
   */
  readonly evaluate?: Evaluate | undefined;
  /** Writes the model as it is in the state: `best` after an evaluation that is the best so far, `model` at the end. */
  readonly exportModel?: ((state: EngineState, weights: Weights, directory: string) => Promise<void>) | undefined;
  /** Go on with what the folder holds (default); otherwise a folder with checkpoints is refused. */
  readonly resume?: boolean;
  /** Called when nothing speaks against the run: its folder is locked, and a checkpoint in it fits. */
  readonly onStart?: (() => Promise<void>) | undefined;
  /** Stops after the current update, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
  readonly progress?: TrainingProgress | undefined;
  /** Metrics on the progress line. Default: the loss. */
  readonly shown?: readonly string[];
  /** Hears what a user should know. */
  readonly onMessage?: ((text: string) => void) | undefined;
}

/** How a training, or its phase, ended. */
export interface FitResult {
  readonly status: "finished" | "stopped";
  readonly step: number;
  /** The newest checkpoint; null when the run was stopped before its first one. */
  readonly checkpoint: string | null;
  readonly best: CheckpointNotes["best"];
  /** Of the last update that this call made. */
  readonly metrics: Metrics;
}

/**
 * Trains until `steps` updates are made or `signal` asks to stop.
 *
 * @throws TrainingError when it diverges, DataError when data can't be read or the folder is removed, ConfigError when the folder can't
 *   be resumed
 */
export function fit(options: FitOptions): Promise<FitResult> {
  const { directory, chunks = 1, steps, signal, progress, ranks } = options;
  const { checkpointEvery = 1000, evaluateEvery = checkpointEvery } = options;
  const training = withClosing(async (onEnd): Promise<FitResult> => {
    onEnd(async () => progress?.clear());
    const run = await openRun(options, onEnd);
    const report = reporter(options, run);
    // All ranks stop at the same update, also where only some are told to.
    const isStopped = async () => {
      const stopped = signal?.aborted === true;
      return ranks === undefined ? stopped : (await ranks.gather("going on", stopped)).includes(true);
    };
    const isOver = async () => run.step >= steps || (await isStopped());

    const begins = run.step === 0 && steps > 0;
    if ((begins || run.pending) && !(await isStopped())) await run.evaluate();
    await run.save();
    while (!(await isOver())) {
      const asked = Date.now();
      const batch = await together(ranks, "reading", () => nextBatches(run.batches, chunks));
      const waited = Date.now() - asked;
      await run.update(batch);
      await report(batch, waited);
      if (run.step % evaluateEvery === 0 || run.step === steps) await run.evaluate();
      if (run.step % checkpointEvery === 0) await run.save();
    }
    progress?.clear();
    await run.save();
    const isFinished = run.step >= steps && !run.pending;
    if (isFinished) await run.exportModel(runFiles(directory).model);
    return {
      status: isFinished ? "finished" : "stopped",
      step: run.step,
      checkpoint: run.saved === 0 ? null : checkpointPath(runFiles(directory).checkpoints, run.saved),
      best: run.best,
      metrics: run.metrics,
    };
  });
  // What fails on one rank alone, in the middle of an update, leaves the others waiting.
  return ranks === undefined ? training : training.catch((error: unknown) => ranks.abort(error));
}

async function nextBatches(batches: TrainingBatches, count: number): Promise<TrainingBatch[]> {
  const taken: TrainingBatch[] = [];
  while (taken.length < count) taken.push(await batches.next());
  return taken;
}

/** Logs the update that was just made of a batch, with its speed, and shows how the run goes. */
function reporter({ steps, logEvery = 1, progress, shown = ["loss"], ranks }: FitOptions, run: Run) {
  const speed = createSpeed();
  speed.tick(0);
  return async (batch: readonly TrainingBatch[], waited: number): Promise<void> => {
    speed.tick(
      batch.reduce((sum, { images }) => sum + images, 0),
      waited,
    );
    const { step, metrics } = run;
    const { imagesPerSecond, secondsPerStep, waitingForData } = speed;
    if (!isFirst(ranks)) return;
    if (step % logEvery === 0 || step === steps) {
      const rates =
        imagesPerSecond === null ? {} : { images_per_second: imagesPerSecond, waiting_for_data: waitingForData ?? 0 };
      await run.record({ ...metrics, ...rates });
    }
    const secondsLeft = secondsPerStep === null ? null : secondsPerStep * (steps - step);
    progress?.show({ step, steps, imagesPerSecond, secondsLeft, waitingForData, metrics: pick(metrics, shown) });
  };
}

function pick(metrics: Metrics, names: readonly string[]): Metrics {
  return Object.fromEntries(names.flatMap((name) => (name in metrics ? [[name, metrics[name] as number]] : [])));
}
