/** The training that a command line means: a recipe or a file, with what its options replace. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { rethrowAs } from "@dcae/core/graph";
import {
  type DataSourceConfig,
  detectSource,
  loadTrainingConfig,
  overrideConfig,
  type TrainingConfig,
  trainingFile,
} from "@dcae/train";
import { UsageError } from "../usage-error.js";
import type { TrainingFlags } from "./training-options.js";

export interface ChosenTraining {
  readonly config: TrainingConfig;
  /** Folder of the run. */
  readonly directory: string;
}

/**
 * The training of `--config`; without it that of the run which is resumed.
 *
 * @throws UsageError when neither is given
 */
export async function chooseTraining(flags: TrainingFlags & { readonly config?: string }): Promise<ChosenTraining> {
  const { config: name, out, resume } = flags;
  if (name !== undefined) {
    const config = await applyFlags(await loadTrainingConfig(name), flags);
    return { config, directory: out ?? join("runs", config.name) };
  }
  if (resume !== true || out === undefined) {
    throw new UsageError("give --config, a recipe or a JSON file (or --resume and the --out of a run)", {
      hint: "`dcae train --list` shows the recipes.",
    });
  }
  return { config: await applyFlags(await loadRun(out), flags), directory: out };
}

/** What the run in `directory` was started as. @throws UsageError when there is none */
export async function loadRun(directory: string): Promise<TrainingConfig> {
  const path = trainingFile(directory);
  if ((await stat(path).catch(() => undefined)) === undefined) {
    throw new UsageError(`--resume: there is no run in ${directory}`, { hint: "Start one with --config." });
  }
  return loadTrainingConfig(path);
}

/** The training with the options' values in place of its own. */
export async function applyFlags(config: TrainingConfig, flags: TrainingFlags): Promise<TrainingConfig> {
  const { data, validation, set = [] } = flags;
  const { sources, ...validationRest } = config.validation;
  const changed: TrainingConfig = {
    ...config,
    perceptual: perceptualOf(config, flags),
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
  if (off && useless !== undefined) {
    throw new UsageError(`${useless} has no effect without the perceptual loss`, { hint: "Add --perceptual lpips." });
  }
  if (off) return "none";
  return { ...(config.perceptual === "none" ? {} : config.perceptual), ...given };
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
