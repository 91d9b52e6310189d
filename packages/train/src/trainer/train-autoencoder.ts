/**
 * Trains an autoencoder as a configuration says: its phases one after the other, each a run of its own in
 * `<directory>/<phase>`.
 *
 * Between phases only weights are carried over; moments, schedule, averages and step counter start anew (training.md section 9). Each
 * run leaves its result as a checkpoint in the official format in `model` (and `model-ema`, and `model-ema-<decay>` for further averages).
 */
import { join } from "node:path";
import type { Weights } from "@dcae/core/checkpoint";
import { ConfigError } from "@dcae/core/graph";
import {
  type Communicator,
  isFirst,
  type OpenOptions,
  onFirst,
  rowsPerRank,
  saveCheckpoint,
  together,
} from "@dcae/core/internal";
import { type DcAeConfig, type ModelDescription, modelParameters } from "@dcae/core/models";
import { closeAll, type EngineState } from "@dcae/core/runtime";
import { keptAverages } from "../configs/run-schedule.js";
import { networkOf, type TrainingConfig, type TrainingPhase } from "../configs/schema.js";
import { batchesPerUpdate, batchesWithCounts, channelMasks } from "../data/channel-counts.js";
import type { TrainingBatches } from "../data/training-batches.js";
import type { TrainingProgress } from "../logging/progress.js";
import { createRanksEngine } from "../parallel/ranks-engine.js";
import { NO_WEIGHTS } from "../parallel/share-weights.js";
import { lpipsPerceptual } from "../phases/perceptual.js";
import { type EmaOptions, stateWeights } from "../step/averages.js";
import {
  autoencoderStages,
  optimizesFor,
  phaseParameters,
  reconstructionOptions,
  trainsDecoderFirst,
} from "./autoencoder-stages.js";
import { bestBy } from "./best-by.js";
import { listCheckpoints } from "./checkpoint.js";
import { reconstructionEvaluation } from "./evaluate-reconstruction.js";
import { type FitResult, fit } from "./fit.js";
import { describeUnreadable, minSideOf, openBatches, openSources, validationSources } from "./open-data.js";
import { type OpenPerceptual, openPerceptual, wantsPerceptual } from "./open-perceptual.js";
import { writeParameterTable } from "./parameter-table.js";
import {
  carried,
  type DcAeDescription,
  describeModel,
  describeResult,
  exists,
  openStart,
  type PhaseStart,
} from "./phase-start.js";
import { runFiles } from "./run-record.js";
import { type OpenSetMetrics, type SetMetrics, setMetricsOf } from "./set-metrics.js";
import { type OpenTeacher, openTeacher, sharedHalves, studentScaling } from "./teacher.js";
import { type TrainingRunOptions, writeTrainingFile } from "./training-run.js";

/** Options of `trainAutoencoder`. */
export interface TrainAutoencoderOptions extends TrainingRunOptions {
  readonly config: TrainingConfig;
  /** Names of the phases to run, by default all. Phases that have finished are passed over. */
  readonly phases?: readonly string[] | undefined;
  /** The weights of LPIPS (`lpips.*`), in place of the files that the configuration names. Not closed here. */
  readonly lpips?: Weights | undefined;
  /** How the checkpoint that a training starts from is found: cache, offline, progress of the download. */
  readonly open?: OpenOptions | undefined;
  /** Opens what `evaluate` of the training names. Closed here. */
  readonly openSetMetrics?: OpenSetMetrics | undefined;
  readonly progress?: ((phase: TrainingPhase) => TrainingProgress) | undefined;
}

/** How a phase ended, and where its model lies. */
export interface PhaseResult extends FitResult {
  readonly phase: string;
  /** Folder of the run. */
  readonly directory: string;
  /** The result as a checkpoint in the official format; undefined when the phase was stopped. */
  readonly model: string | undefined;
}

/** Whether the phase made all of its updates and left its model. */
async function isFinished(directory: string, phase: TrainingPhase): Promise<boolean> {
  const files = runFiles(join(directory, phase.name));
  const step = (await listCheckpoints(files.checkpoints)).at(-1) ?? 0;
  return step >= phase.steps && (await exists(join(carried(directory, phase), "config.json")));
}

const NO_START: PhaseStart = { weights: NO_WEIGHTS, scalingFactor: null, shiftFactor: null };

async function trainPhase(
  options: TrainAutoencoderOptions,
  index: number,
  model: DcAeDescription,
  compared: OpenPerceptual | undefined,
  teacher: OpenTeacher | null,
): Promise<PhaseResult> {
  const { config, resume, signal, ranks, onMessage } = options;
  const engine = ranks === undefined ? options.engine : createRanksEngine(options.engine, ranks);
  const phase = config.phases[index] as TrainingPhase;
  const directory = join(options.directory, phase.name);
  const architecture: DcAeConfig = model.config;
  const perceptual = compared === undefined || phase.lpipsWeight === 0 ? null : compared.perceptual;
  const size = ranks?.size ?? 1;
  const rows = await together(ranks, "dividing batches", async () => rowsPerRank(phase.batch, size, phase.name));
  const local = { ...phase, batch: rows };
  // The others get theirs from the first rank.
  const start = await together(ranks, `the start of ${phase.name}`, async () =>
    isFirst(ranks) ? openStart({ ...options, teacher }, index, model) : NO_START,
  );
  const result = describeResult(model, phase, start, teacher ? studentScaling(teacher.teacher) : undefined);
  const validation = validationSources(config);
  // What an encoder that hasn't learned the teacher's latents makes of pictures would say nothing of the decoder.
  const hasEncoder =
    teacher !== null && config.init === null && sharedHalves(teacher.teacher, model).includes("encoder");
  const decodesTeacher = teacher !== null && !hasEncoder && trainsDecoderFirst(config.phases, index, architecture);
  const onLatents = decodesTeacher ? ", by the teacher's latents: the encoder hasn't learned to make them" : "";
  onMessage?.(`${phase.name}: evaluated on ${validation.what}${onLatents}`);
  const said = new Set<string>();
  const sayOnce = (text: string) => {
    if (!said.has(text)) onMessage?.(text);
    said.add(text);
  };
  let setMetrics: SetMetrics | undefined;
  try {
    setMetrics = await together(ranks, "the networks to evaluate with", async () =>
      isFirst(ranks) ? setMetricsOf(config.evaluate, options.openSetMetrics, phase.size) : undefined,
    );
    const weights: Weights = {
      ...start.weights,
      entries: new Map([
        ...start.weights.entries,
        ...(perceptual === null ? [] : (compared?.weights.entries ?? [])),
        ...(teacher?.weights.entries ?? []),
      ]),
    };
    const optimize = optimizesFor(engine, phase);
    const stages = autoencoderStages(local, architecture, perceptual, optimize, teacher?.teacher, size);
    // biome-ignore lint/suspicious/noFocusedTests: this fit trains a model
    const done = await fit({
      directory,
      engine,
      stages,
      chunks: batchesPerUpdate(phase),
      ranks,
      weights,
      seed: config.seed,
      batches: (position) => openPhaseBatches(config, phase, architecture, position, sayOnce, ranks),
      steps: phase.steps,
      identity: identityOf(config, phase, perceptual !== null),
      config,
      computedBy: options.computedBy,
      checkpointEvery: phase.checkpointEvery,
      keep: phase.keep,
      logEvery: phase.logEvery,
      evaluateEvery: phase.evaluateEvery,
      evaluate: bestBy(
        phase.best,
        reconstructionEvaluation({
          engine,
          reconstruction: reconstructionOptions(
            local,
            architecture,
            perceptual,
            decodesTeacher ? teacher.teacher : null,
          ),
          sources: await together(ranks, "the pictures to evaluate on", async () =>
            isFirst(ranks) ? openSources(validation.sources, sayOnce, minSideOf(config.data, phase)) : [],
          ),
          count: config.validation.count,
          seed: config.seed,
          ema: phase.ema,
          masks: phase.channels === null ? undefined : channelMasks(phase.channels, architecture.latentChannels),
          setMetrics,
          workers: config.data.workers,
          onCorrupt: (name, problem) => sayOnce(describeUnreadable(name, problem)),
        }),
        setMetrics?.better,
      ),
      async exportModel(state, current, folder) {
        await saveTrainedModel(result, state, current, folder);
        for (const [i, average] of keptAverages(phase.ema).entries()) {
          const name = i === 0 ? "ema" : `ema-${average.decay}`;
          await saveTrainedModel(result, state, current, `${folder}-${name}`, average);
        }
      },
      ...(resume === undefined ? {} : { resume }),
      async onStart() {
        await writeTrainingFile(options.directory, config);
        await writeParameterTable(runFiles(directory).parameters, phaseParameters(phase, architecture, stages));
      },
      signal,
      progress: options.progress?.(phase),
      shown: ["loss", "l1", "lpips", "features", "latent", "g_loss", "d_loss"],
      onMessage: (text) => onMessage?.(`${phase.name}: ${text}`),
    });
    const finished = done.status === "finished";
    return { ...done, phase: phase.name, directory, model: finished ? runFiles(directory).model : undefined };
  } finally {
    await closeAll([() => setMetrics?.close(), () => start.weights.close()]);
  }
}

/** Batches of a phase; where it trains counts of channels, with those that are drawn. */
function openPhaseBatches(
  { data, seed }: TrainingConfig,
  phase: TrainingPhase,
  { latentChannels }: DcAeConfig,
  position: unknown,
  onMessage: (text: string) => void,
  ranks: Communicator | undefined,
): Promise<TrainingBatches> {
  const { channels, accumulate } = phase;
  const open = (from: unknown) => openBatches(data, phase, seed, from, onMessage, ranks);
  if (channels === null) return open(position);
  return batchesWithCounts(open, position, channels, { latentChannels, accumulate, seed });
}

/** What decides the bits of a run: all but how long it goes on and how it is watched. */
function identityOf(config: TrainingConfig, phase: TrainingPhase, perceptual: boolean): Record<string, unknown> {
  const { steps, checkpointEvery, keep, evaluateEvery, logEvery, carry, name, channels, ...rest } = phase;
  // Runs of earlier versions, which didn't know of them, go on.
  const numbers = channels === null ? rest : { ...rest, channels };
  const { workers, prefetch, maxCorrupt, sources, decode, ...others } = config.data;
  const data = decode === "fast" ? { ...others, decode } : others;
  const { init, ...teacher } = config.teacher ?? {};
  // The path of a network may change: its weights are known by their hash, as all that don't train.
  const { network, ...features } = networkOf(config.perceptual) ?? {};
  return {
    ...{ model: config.model, seed: config.seed, perceptual, data, ...numbers },
    ...(perceptual && network !== undefined ? { features } : {}),
    // Its weights are known by their hash, as all that don't train.
    ...(config.teacher === null ? {} : { teacher }),
  };
}

/**
 * Trains the phases of a configuration.
 *
 * @returns the results of the phases that ran; the last one may have been stopped by the signal
 * @throws TrainingError when training diverges; DataError, CheckpointError and ConfigError for what can't be used
 * @example
 * ```ts no-run
 * import { createEngine } from "@dcae/core";
 * import { stopSignals, trainAutoencoder, trainingRecipe } from "@dcae/train";
 *
 * const engine = await createEngine({ device: "cpu" });
 * const config = trainingRecipe("small-f32-scenes"); // draws its pictures
 * await trainAutoencoder({ config, directory: "runs/small", engine, signal: stopSignals().signal });
 * await engine.dispose();
 * ```
 */
export async function trainAutoencoder(options: TrainAutoencoderOptions): Promise<PhaseResult[]> {
  const { config, directory, phases, resume = true, ranks, onMessage } = options;
  const unknown = (phases ?? []).filter((name) => !config.phases.some((phase) => phase.name === name));
  if (unknown.length > 0) {
    throw new ConfigError(`${config.name}: there is no phase ${unknown.join(", ")}`, {
      hint: `There are ${config.phases.map(({ name }) => name).join(", ")}.`,
    });
  }
  const model = describeModel(config);
  if (!wantsPerceptual(config)) onMessage?.("training without the perceptual loss");
  const compared = await together(ranks, "the perceptual loss", () => openCompared(options));
  const results: PhaseResult[] = [];
  let teacher: OpenTeacher | null = null;
  try {
    teacher = await together(ranks, "the teacher", () => openTeacher(config, options.open));
    if (teacher !== null) onMessage?.(`latents of ${teacher.name}`);
    for (const [index, phase] of config.phases.entries()) {
      if (phases !== undefined && !phases.includes(phase.name)) continue;
      if (resume && (await onFirst(ranks, "looking what is done", () => isFinished(directory, phase)))) {
        onMessage?.(`${phase.name}: has finished already, ${join(directory, phase.name)}`);
        continue;
      }
      const result = await trainPhase(options, index, model, compared, teacher);
      results.push(result);
      if (result.status === "stopped") break;
    }
    return results;
  } finally {
    await teacher?.weights.close();
    if (compared?.weights !== options.lpips) await compared?.weights.close();
  }
}

/** What the perceptual loss compares with; undefined where no phase has one. */
async function openCompared({ config, lpips }: TrainAutoencoderOptions): Promise<OpenPerceptual | undefined> {
  if (config.perceptual === "none" || !wantsPerceptual(config)) return undefined;
  if (lpips !== undefined && networkOf(config.perceptual) === undefined)
    return { perceptual: lpipsPerceptual(), weights: lpips };
  return openPerceptual(config.perceptual);
}

/** Writes `config.json` and `model.safetensors`, which core loads; replaces what an earlier moment of the run wrote there. */
function saveTrainedModel(
  model: ModelDescription,
  state: EngineState,
  weights: Weights,
  directory: string,
  ema: EmaOptions | null = null,
): Promise<void> {
  const names = modelParameters(model).map(({ name }) => name);
  return saveCheckpoint(model, stateWeights(names, state, weights, ema), directory, { overwrite: true });
}
