/** The training that a command line means: a recipe, a file, or that of a run, with what its options replace. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { rethrowAs } from "@dcae/core/graph";
import { loadTrainingConfig, overrideConfig, type TrainingConfig } from "@dcae/train";
import { type DataSourceConfig, detectSource, networkOf, trainingFile } from "@dcae/train/internal";
import { UsageError } from "../errors.js";
import type { TrainingFlags } from "./training-options.js";

/** A training, and where it runs. */
export interface Chosen<Config> {
  readonly config: Config;
  /** Folder of the run. */
  readonly directory: string;
}

/** Which training is meant, of any kind. */
export interface RunFlags {
  readonly config?: string;
  readonly out?: string;
  readonly resume?: boolean;
}

/**
 * The training of `--config`; without it that of the run which is resumed.
 *
 * @param command that lists the recipes, as in "dcae train"
 * @param load gives the training of a recipe's name or of a file
 * @throws UsageError when neither is given, or there is no run
 */
export async function chooseRun<Config extends { readonly name: string }>(
  { config: name, out, resume }: RunFlags,
  command: string,
  load: (nameOrPath: string) => Promise<Config>,
): Promise<Chosen<Config>> {
  if (name !== undefined) {
    const config = await load(name);
    return { config, directory: out ?? join("runs", config.name) };
  }
  if (resume !== true || out === undefined) {
    throw new UsageError("give --config, a recipe or a JSON file (or --resume and the --out of a run)", {
      hint: `\`${command} --list\` shows the recipes.`,
    });
  }
  return { config: await load(await fileOfRun(out, "--config")), directory: out };
}

/**
 * Where the run in a folder keeps its training.
 *
 * @param start the option that begins a run
 * @throws UsageError when there is none
 */
export async function fileOfRun(directory: string, start: string): Promise<string> {
  const path = trainingFile(directory);
  if ((await stat(path).catch(() => undefined)) !== undefined) return path;
  throw new UsageError(`--resume: there is no run in ${directory}`, { hint: `Start one with ${start}.` });
}

/** The training of an autoencoder that flags mean. */
export function chooseTraining(flags: TrainingFlags & RunFlags): Promise<Chosen<TrainingConfig>> {
  return chooseRun(flags, "dcae train", async (from) => applyFlags(await loadTrainingConfig(from), flags));
}

/** The training with the options' values in place of its own. */
export async function applyFlags(config: TrainingConfig, flags: TrainingFlags): Promise<TrainingConfig> {
  const { data, validation, evaluate, set = [] } = flags;
  const { sources, ...validationRest } = config.validation;
  const changed: TrainingConfig = {
    ...config,
    perceptual: perceptualOf(config, flags),
    ...(evaluate === undefined ? {} : { evaluate: [...evaluate] }),
    ...(data === undefined ? {} : { data: { ...config.data, sources: await parseSources(data) } }),
    validation:
      validation !== undefined
        ? { ...validationRest, sources: await parseSources(validation) }
        : // The recipe's pictures belong to the recipe's data.
          data !== undefined
          ? validationRest
          : config.validation,
  };
  return rethrowAs(UsageError, "--set: ", () => overrideConfig(changed, set));
}

function perceptualOf(config: TrainingConfig, flags: TrainingFlags): TrainingConfig["perceptual"] {
  const { perceptual, vgg16: trunk, lpips: linear } = flags;
  const given = { ...(trunk === undefined ? {} : { trunk }), ...(linear === undefined ? {} : { linear }) };
  const useless = trunk !== undefined ? "--vgg16" : linear !== undefined ? "--lpips" : undefined;
  const off = perceptual === "none" || (perceptual === undefined && config.perceptual === "none");
  const before = networkOf(config.perceptual);
  const path = perceptual === "none" || perceptual === "lpips" ? undefined : (perceptual ?? before?.network);
  if ((off || path !== undefined) && useless !== undefined) {
    const without = off ? "without the perceptual loss" : "on the perceptual loss of another network";
    throw new UsageError(`${useless} has no effect ${without}`, { hint: "Add --perceptual lpips." });
  }
  if (off) return "none";
  // The layers of one network mean nothing in another.
  if (path !== undefined) return path === before?.network ? before : { network: path };
  return { ...(config.perceptual === "none" || before !== undefined ? {} : config.perceptual), ...given };
}

/** Sources from options: "synthetic", a path, or either with "=" and its share. */
export async function parseSources(texts: readonly string[]): Promise<DataSourceConfig[]> {
  return Promise.all(texts.map(parseSource));
}

async function parseSource(text: string): Promise<DataSourceConfig> {
  const [, path = text, share] = /^(.+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  const weight = share === undefined ? {} : { weight: Number(share) };
  if (path === "synthetic") return { kind: "scenes", seed: 0, ...weight };
  return { kind: await detectSource(path), path, ...weight };
}

// The phases that `--phase` names: by number or by name.

/**
 * @param texts "1", "2" and "3" are all phases that train as those of the paper, anything else is a name
 * @returns names, in the training's order
 * @throws UsageError for what the training doesn't have
 */
export function choosePhases({ name, phases }: TrainingConfig, texts: readonly string[]): string[] {
  const wanted = new Set(
    texts.flatMap((text) => {
      const found = phases.filter(
        ({ name: own, trains }) => own === text || (trains.kind === "phase" && String(trains.phase) === text),
      );
      if (found.length > 0) return found.map(({ name: own }) => own);
      throw new UsageError(`--phase ${text}: ${name} has no such phase`, {
        hint: `It has ${phases.map(({ name: own }) => own).join(", ")}.`,
      });
    }),
  );
  return phases.map(({ name: own }) => own).filter((own) => wanted.has(own));
}

/** What a list of recipes says about the time that one takes, and what came out. */
export function timeOf({ expectedTime, results }: Pick<TrainingConfig, "expectedTime" | "results">): string[] {
  const time = `  time: ${expectedTime ?? "not measured"}`;
  if (results === null) return [time];
  const metrics = Object.entries(results.metrics).map(([name, value]) => `${name} ${value}`);
  return [time, `  results: ${metrics.join(", ")} (${results.on})`];
}
