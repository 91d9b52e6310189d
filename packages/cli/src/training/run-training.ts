/** Carries out a training: says what will train (`--dry-run` stops there), trains, says what came out. */
import type { Engine } from "@dcae/core";
import { type Communicator, onFirst, together } from "@dcae/core/internal";
import { type DcAeConfig, spatialCompression } from "@dcae/core/models";
import {
  describePerceptual,
  formatPlan,
  inspectTraining,
  type PhasePlan,
  type PhaseResult,
  type ProgressState,
  planTraining,
  type TrainingConfig,
  type TrainingProgress,
  trainAutoencoder,
} from "@dcae/train";
import {
  autoencoderStages,
  batchesPerUpdate,
  describeModel,
  describeTeacher,
  formatDuration,
  formatProgress,
  type MeasuredUpdate,
  measureOrEstimateUpdate,
  optimizesFor,
} from "@dcae/train/internal";
import { type CliIo, formatCount, plural } from "../cli-io.js";
import { type HubFlags, openOptions } from "../options/model-options.js";
import { withRanks } from "../options/parallel-options.js";
import type { Chosen, RunFlags } from "./choose-training.js";
import { missingSetMetrics, setMetricsOpener } from "./set-metrics.js";
import {
  checkEngineFlags,
  describeEngine,
  openTrainingEngine,
  rankFlags,
  type TrainingEngineFlags,
  type TrainingFlags,
  takesOptimized,
} from "./training-options.js";

/** A training, and which of its phases run: names, all if undefined. */
export interface ChosenPhases extends Chosen<TrainingConfig> {
  readonly phases?: readonly string[] | undefined;
}

/**
 * @param choose finds out what the command line means
 * @throws the reason of `io.signal` when a signal stopped the run, after it was saved
 */
export async function runTraining(choose: () => Promise<ChosenPhases>, flags: TrainingFlags, io: CliIo): Promise<void> {
  checkEngineFlags(flags);
  return withRanks(flags, io, async (ranks, own) =>
    carryOut(await together(ranks, "the settings", choose), rankFlags(flags, ranks), own, ranks),
  );
}

async function carryOut(
  { config, directory, phases }: ChosenPhases,
  flags: TrainingFlags,
  io: CliIo,
  ranks: Communicator | undefined,
): Promise<void> {
  const plans = await together(ranks, "the plan", async () =>
    planTraining(config, phases, takesOptimized(flags), ranks?.size, await describePerceptual(config)),
  );
  if (flags.dryRun === true) {
    return onFirst(ranks, "trying", () => dryRun({ config, directory }, plans, flags, io));
  }
  io.note(`${config.name}, in ${directory}`);
  for (const plan of plans) io.note(formatPlan(plan));
  const results = await withTrainingEngine(flags, io, ranks, async (run) =>
    trainAutoencoder({
      ...run,
      config,
      directory,
      phases,
      open: await openOptions(hubFlags(flags), io),
      openSetMetrics: setMetricsOpener(run.engine, true, flags, io),
      progress: ({ name }) => trainingProgress(name, io),
    }),
  );
  if (flags.json === true) {
    io.json({ training: config.name, directory, phases: results });
  } else {
    for (const result of results) io.out(`${result.phase}: ${formatOutcome(result, "score")}`);
  }
  endStopped("dcae train", directory, io);
}

/** How the hub is asked; what is asked for stands in the training. */
function hubFlags({ offline, cacheDir }: TrainingFlags): HubFlags {
  return { ...(offline === undefined ? {} : { offline }), ...(cacheDir === undefined ? {} : { cacheDir }) };
}

// What trainings of all kinds have in common.

interface TrainingRun {
  readonly engine: Engine;
  /** What decides the last bits of a run beside its settings. */
  readonly computedBy: string;
  readonly resume: boolean;
  readonly signal: AbortSignal;
  readonly onMessage: (text: string) => void;
  readonly ranks: Communicator | undefined;
}

/** Starts the engine that the flags ask for, lets `train` use it, and frees it; a signal stops after the update. */
export async function withTrainingEngine<T>(
  flags: TrainingEngineFlags & Pick<RunFlags, "resume">,
  io: CliIo,
  ranks: Communicator | undefined,
  train: (run: TrainingRun) => Promise<T>,
): Promise<T> {
  const engine = await together(ranks, "the engine", () => openTrainingEngine(flags));
  const onAbort = () => io.note("dcae: stopping after this update; again to stop at once, without saving");
  io.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const computedBy = describeEngine(engine, flags);
    io.note(`engine: ${computedBy}${ranks === undefined ? "" : `, on each of ${plural(ranks.size, "rank")}`}`);
    const { resume = false } = flags;
    return await train({ engine, computedBy, resume, signal: io.signal, onMessage: (text) => io.note(text), ranks });
  } finally {
    io.signal.removeEventListener("abort", onAbort);
    io.progress.clear();
    await engine.dispose();
  }
}

/** @param measured what the best model was chosen by, where no metric was named */
export function formatOutcome(
  { status, step, checkpoint, model, best }: Pick<PhaseResult, "status" | "step" | "checkpoint" | "model" | "best">,
  measured: "score" | "loss",
): string {
  const at = `${status} after update ${formatCount(step)}`;
  if (model === undefined) return `${at}, saved as ${checkpoint ?? "nothing: it had not begun"}`;
  const chosen =
    best && `, best ${best.metric ?? measured} ${best.score.toPrecision(5)} at update ${formatCount(best.step)}`;
  return `${at}, model in ${model}${chosen ?? ""}`;
}

/**
 * The end of a command whose training was stopped, once all is said.
 *
 * @throws the reason of `io.signal`
 */
export function endStopped(command: string, directory: string, io: CliIo): void {
  if (!io.signal.aborted) return;
  io.note(`dcae: go on with \`${command} --resume --out ${directory}\``);
  throw io.signal.reason;
}

// `--dry-run`: the plan, with what it needs, and the time of an update where it can be tried out.

/** The time of a run in words. */
export function formatMeasured(measured: MeasuredUpdate, steps: number): string {
  if ("reason" in measured) return `time not measured: ${measured.reason}`;
  const seconds = measured.seconds < 0.1 ? measured.seconds.toPrecision(1) : measured.seconds.toPrecision(2);
  const all = formatDuration(measured.seconds * steps);
  if (measured.estimated !== undefined) {
    return `time, estimated from a smaller update here (${measured.estimated}): about ${Number(seconds)} s for an update, ${all} for all`;
  }
  return `time, measured here: ${Number(seconds)} s for an update, ${all} for all, beside reading data and evaluations`;
}

interface TriedPhases {
  readonly measured: readonly MeasuredUpdate[];
  /** Distances that can't be computed, and what would help. */
  readonly missing: readonly string[];
}

/** Sides that are enough for every network of a phase. */
const SMALL_SIDE = 64;

/** A phase with one small picture per update, to be tried out in place of a large one. */
function smallerPhase(phase: TrainingConfig["phases"][number], model: DcAeConfig): typeof phase {
  const multiple = spatialCompression(model);
  const needed = Math.max(SMALL_SIDE, phase.gan === null ? 0 : 3 * 2 ** phase.gan.layers);
  const size = Math.min(phase.size, multiple * Math.ceil(needed / multiple));
  return { ...phase, size, sizes: undefined, batch: 1, accumulate: 1 };
}

async function tryPhases(
  config: TrainingConfig,
  plans: readonly PhasePlan[],
  flags: TrainingFlags,
  io: CliIo,
): Promise<TriedPhases> {
  const engine = await openTrainingEngine(flags);
  try {
    const model = describeModel(config).config;
    const teacher = describeTeacher(config);
    const described = await describePerceptual(config);
    const measured: MeasuredUpdate[] = [];
    const missing = new Set<string>();
    const chosen = config.phases.flatMap((phase) => {
      const plan = plans.find(({ name }) => name === phase.name);
      return plan === undefined ? [] : [{ ...phase, batch: phase.batch / plan.ranks }];
    });
    for (const phase of chosen) {
      const open = setMetricsOpener(engine, true, flags, io);
      for (const text of await missingSetMetrics(open, config.evaluate, phase.size)) missing.add(text);
      const perceptual = phase.lpipsWeight === 0 ? null : described;
      const stages = autoencoderStages(phase, model, perceptual, optimizesFor(engine, phase), teacher);
      const smaller = () =>
        autoencoderStages(smallerPhase(phase, model), model, perceptual, optimizesFor(engine, phase), teacher);
      measured.push(await measureOrEstimateUpdate(engine, stages, batchesPerUpdate(phase), smaller));
    }
    return { measured, missing: [...missing] };
  } finally {
    await engine.dispose();
  }
}

/** @throws for data, weights and checkpoints that are there and can't be used; what isn't there is named in the plan */
async function dryRun(
  { config, directory }: Chosen<TrainingConfig>,
  plans: readonly PhasePlan[],
  flags: TrainingFlags,
  io: CliIo,
): Promise<void> {
  const { found, assumed, ...needs } = await inspectTraining(config);
  const { measured, missing: metrics } = await tryPhases(config, plans, flags, io);
  const missing = [...needs.missing, ...metrics];
  if (flags.json === true) {
    const phases = plans.map((plan, i) => ({ ...plan, measured: measured[i] }));
    return io.json({ training: config.name, directory, found, missing, assumed, phases });
  }
  plans.forEach((plan, i) => {
    io.out(`${formatPlan(plan)}\n  ${formatMeasured(measured[i] as MeasuredUpdate, plan.steps)}`);
  });
  for (const text of found) io.out(text);
  for (const text of assumed) io.out(`taken for granted: ${text}`);
  for (const text of missing) io.out(`missing: ${text}`);
}

// How a run goes: the progress line of a terminal, and a line per minute where stderr is none (a log file).

const MILLISECONDS_BETWEEN_LINES = 60_000;

/** @param now milliseconds */
export function trainingProgress(label: string, io: CliIo, now: () => number = Date.now): TrainingProgress {
  let last = now();
  return {
    show(state: ProgressState) {
      if (io.progress.isVisible) {
        io.progress.showText(formatProgress(label, state), state.step === state.steps);
        return;
      }
      const time = now();
      if (time - last < MILLISECONDS_BETWEEN_LINES) return;
      last = time;
      io.note(formatProgress(label, state));
    },
    clear: () => io.progress.clear(),
  };
}
