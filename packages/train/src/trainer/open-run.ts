/** A run in its folder: its state on the engine, and what happens to it between the steps of the loop. */
import { createHash } from "node:crypto";
import type { Weights } from "@dcae/core/checkpoint";
import { ConfigError, type Program, topologicalOrder } from "@dcae/core/graph";
import { isFirst, onFirst, requireSame, together } from "@dcae/core/internal";
import type { TrainingBatch, TrainingBatches } from "../data/training-batches.js";
import { isRanksEngine } from "../parallel/ranks-engine.js";
import { NO_WEIGHTS, shareWeights } from "../parallel/share-weights.js";
import { createTrainingState, hashFrozen, restoredWeights, startWeights } from "../step/training-state.js";
import {
  type CheckpointNotes,
  checkpointPath,
  newestCheckpoint,
  type OpenCheckpoint,
  prepareCheckpoints,
  pruneCheckpoints,
  writeCheckpoint,
} from "./checkpoint.js";
import type { Better, FitOptions } from "./fit.js";
import { lockRun, type RunLock } from "./run-lock.js";
import { openRecord, runFiles } from "./run-record.js";
import { TrainingError } from "./training-run.js";
import { loadStages, type Metrics, stagePrograms } from "./update-stage.js";

type Best = NonNullable<CheckpointNotes["best"]>;

export interface Run {
  /** Updates made so far. */
  readonly step: number;
  /** The update of the newest checkpoint; 0 where there is none. */
  readonly saved: number;
  readonly best: CheckpointNotes["best"];
  /** Whether the evaluation of this update was interrupted. */
  readonly pending: boolean;
  /** Of the last update. */
  readonly metrics: Metrics;
  readonly batches: TrainingBatches;
  /** @throws TrainingError when its metrics aren't finite */
  update(batch: readonly TrainingBatch[]): Promise<void>;
  /** Records values of the update that was made last. */
  record(values: Metrics): Promise<void>;
  /** Evaluates the model as it is now; the best one so far is exported. Pending where it was interrupted. */
  evaluate(): Promise<void>;
  /** Writes a checkpoint, unless the newest one is of this update. */
  save(): Promise<void>;
  exportModel(folder: string): Promise<void>;
}

const beats = (one: number, other: number, better: Better) => (better === "lower" ? one < other : one > other);

/** Runs of earlier versions kept a metric of which more is better with a minus, and didn't name it. */
function scoreOf({ score, metric }: Best, scoredBy: string | undefined, better: Better): number {
  return scoredBy !== undefined && metric === undefined && better === "higher" ? -score : score;
}

const nonFinite = (metrics: Metrics) => Object.entries(metrics).find(([, value]) => !Number.isFinite(value));

/**
 * Locks the folder, and opens the run in it as its newest checkpoint left it, or at its beginning.
 *
 * @param onEnd takes what closes it
 * @throws ConfigError when the folder can't be resumed, DataError when it can't be read or written
 */
export async function openRun(options: FitOptions, onEnd: (close: () => Promise<unknown>) => void): Promise<Run> {
  const { directory, engine, stages, chunks = 1, steps, keep = 3, ranks } = options;
  const { onMessage } = options;
  const computedBy = (options.computedBy ?? engine.name) + (ranks === undefined ? "" : `, ${ranks.size} ranks`);
  const files = runFiles(directory);
  const programs = stagePrograms(stages);

  const { identity, checkpointEvery, evaluateEvery, logEvery } = options;
  await requireSame(ranks, {
    settings: hashOf(identity, steps, checkpointEvery, evaluateEvery, logEvery),
    program: hashOf(programs.map(outlineOf)),
  });
  // The folder is the first rank's: the others may not even see it.
  const opened = await together(ranks, "opening the run", async () =>
    isFirst(ranks) ? openFolder(options, programs, onEnd) : undefined,
  );
  const resumed = await onFirst(ranks, "resuming", async () => opened?.resumed ?? null);
  const weights = await shareWeights(ranks, programs, opened?.weights ?? NO_WEIGHTS);
  const state = await createTrainingState(engine, programs, weights);
  onEnd(() => state.dispose());
  const loaded = await loadStages(engine, stages, chunks, weights, state);
  onEnd(() => loaded.dispose());

  let { step, position, best } = resumed?.notes ?? { step: 0, position: undefined, best: null };
  let saved = step;
  let pending = resumed?.notes.pending ?? false;
  /** Whether the newest checkpoint, though of this update, says what isn't so any more. */
  let outdated = false;
  let metrics: Metrics = {};
  if (resumed !== null) {
    onMessage?.(`resuming after update ${step} of ${steps}: ${resumed.path}`);
    const before = resumed.notes.computedBy ?? computedBy;
    if (before !== computedBy) {
      onMessage?.(`it was computed by ${before}, now by ${computedBy}: the last bits may differ from here on`);
    }
  }
  const batches = await together(ranks, "opening the data", () => options.batches(position));
  onEnd(() => batches.close());
  const log = await together(ranks, "opening the log", async () =>
    opened === undefined ? undefined : openRecord(directory, resumed === null ? null : step, !pending),
  );
  onEnd(async () => log?.close());

  /** Known to the rank that writes. */
  const lastGood = () => (saved === 0 ? "there is no checkpoint yet" : checkpointPath(files.checkpoints, saved));

  function diverged(at: number, problem: string, checkpoint = lastGood()): TrainingError {
    return new TrainingError(
      `training diverged at update ${at}: ${problem}; the last good checkpoint: ${checkpoint}`,
      at,
      {
        hint: "Lower the learning rate, lengthen the warm-up, or clip the gradient norm, and start from that checkpoint.",
      },
    );
  }

  /** Nothing is written into a folder that is another's by now, or that somebody removed. */
  async function record(at: number, values: Metrics): Promise<void> {
    await opened?.lock.check();
    await log?.metrics(at, values);
  }

  async function exportModel(folder: string): Promise<void> {
    await opened?.lock.check();
    await options.exportModel?.(state, weights, folder);
    await opened?.lock.check();
  }

  /** The first rank evaluates and writes: it needs what others updated. */
  async function gatherState(): Promise<void> {
    if (isRanksEngine(engine)) await engine.gatherState(state);
  }

  /** Where the numbers of an update that aren't finite came from. */
  async function sourceOf(): Promise<string> {
    if (ranks === undefined || !isRanksEngine(engine)) return "";
    // Of what only one rank summed, it alone knows.
    const seen = await ranks.gather("looking for its source", engine.takeFirstNonFinite());
    const all = ranks.names.map((_, rank) => Math.min(...seen.map((firsts) => firsts[rank] as number)));
    const first = Math.min(...all);
    const sources = ranks.names.filter((_, rank) => all[rank] === first);
    return sources.length === ranks.size ? "" : ` on ${sources.join(", ")}`;
  }

  return {
    get step() {
      return step;
    },
    get saved() {
      return saved;
    },
    get best() {
      return best;
    },
    get pending() {
      return pending;
    },
    get metrics() {
      return metrics;
    },
    batches,
    async update(batch) {
      metrics = await loaded.update(
        step + 1,
        batch.map(({ inputs }) => inputs),
      );
      const wrong = nonFinite(metrics);
      if (wrong !== undefined) {
        const source = await sourceOf();
        const checkpoint = await onFirst(ranks, "recording", async () => {
          await record(step + 1, metrics);
          return lastGood();
        });
        // All say the same, so that the message names no other rank than the one that the number came from.
        await together(ranks, "stopping", async () => {
          throw diverged(step + 1, `${wrong[0]} is ${wrong[1]}${source}`, checkpoint);
        });
      }
      step += 1;
      position = batch.at(-1)?.position;
    },
    record: (values) => record(step, values),
    async evaluate() {
      await gatherState();
      // All ranks know of an evaluation that is to be made again: they do so together.
      pending = await onFirst(ranks, "evaluating", evaluate);
    },
    async save() {
      await gatherState();
      await onFirst(ranks, "saving", save);
    },
    async exportModel(folder) {
      await gatherState();
      await onFirst(ranks, "writing the model", () => exportModel(folder));
    },
  };

  /** @returns whether it was interrupted */
  async function evaluate(): Promise<boolean> {
    if (options.evaluate === undefined || log === undefined) return false;
    const evaluation = await options.evaluate(state, weights);
    outdated = pending;
    if (evaluation === undefined) return true;
    const { metrics: found, pictures = {}, score, better = "lower", scoredBy } = evaluation;
    const values = Object.fromEntries(Object.entries(found).map(([name, value]) => [`eval_${name}`, value]));
    await record(step, values);
    const wrong = nonFinite(found);
    if (wrong !== undefined) throw diverged(step, `the evaluation's ${wrong[0]} is ${wrong[1]}`);
    await log.pictures(step, pictures);
    const isBest = score !== undefined && (best === null || beats(score, scoreOf(best, scoredBy, better), better));
    const texts = Object.entries(found).map(([name, value]) => `${name} ${Number(value.toPrecision(5))}`);
    const when = step === 0 ? "before the first update" : `update ${step} of ${steps}`;
    onMessage?.(`${when}, evaluation: ${texts.join(", ")}${isBest && step > 0 ? ", the best so far" : ""}`);
    if (!isBest) return false;
    best = { step, score, ...(scoredBy === undefined ? {} : { metric: scoredBy }) };
    await exportModel(files.best);
    return false;
  }

  async function save(): Promise<void> {
    if (opened === undefined || log === undefined) return;
    await opened.lock.check();
    if (step === saved && !outdated) return;
    const open = pending ? { pending } : {};
    const { identity: own, config } = options;
    const notes = { step, position, best, ...open, identity: { ...own }, frozen: opened.frozen, computedBy, config };
    try {
      await writeCheckpoint(files.checkpoints, state, notes);
    } catch (error) {
      throw error instanceof TrainingError ? diverged(step, error.message) : error;
    }
    saved = step;
    outdated = false;
    await pruneCheckpoints(files.checkpoints, keep, best?.step);
    await log.curves();
  }
}

interface OpenFolder {
  readonly lock: RunLock;
  readonly resumed: Pick<OpenCheckpoint, "path" | "notes"> | undefined;
  readonly frozen: string;
  /** What the run goes on from. */
  readonly weights: Weights;
}

/** Locks the folder, and finds what the run in it goes on from. */
async function openFolder(
  options: FitOptions,
  programs: readonly Program[],
  onEnd: (close: () => Promise<unknown>) => void,
): Promise<OpenFolder> {
  const { directory, seed } = options;
  const files = runFiles(directory);
  const lock = await lockRun(directory);
  onEnd(() => lock.release());
  await prepareCheckpoints(files.checkpoints);
  const resumed = await newestCheckpoint(files.checkpoints, options);
  if (resumed !== undefined) onEnd(() => resumed.state.close());
  const fresh = startWeights(programs, options.weights, seed);
  const frozen = await hashFrozen(programs, fresh);
  if (resumed !== undefined && resumed.notes.frozen !== frozen) {
    throw new ConfigError(`${resumed.path}: weights that don't train differ from those the run was started with`, {
      hint: "Give the model that the run was started from.",
    });
  }
  const weights = resumed === undefined ? fresh : restoredWeights(programs, fresh, resumed);
  await options.onStart?.();
  return { lock, resumed: resumed && { path: resumed.path, notes: resumed.notes }, frozen, weights };
}

/** What a program consists of, for comparing: another version may build another one of the same settings. */
function outlineOf({ name, outputs, updates }: Program): unknown {
  const results = [...outputs, ...updates];
  const order = topologicalOrder(results.map(([, value]) => value));
  return [name, results.map(([key, { shape }]) => [key, shape]), order.map(({ op, shape }) => [op, shape])];
}

function hashOf(...what: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(what)).digest("hex");
}
