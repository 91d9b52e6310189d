/** The diffusion training that a command line means: a recipe, a file, or that of a run, with what its options replace. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { rethrowAs } from "@dcae/core/graph";
import { applySettings, trainingFile } from "@dcae/train";
import { type DiffusionConfig, loadDiffusionConfig, parseDiffusionConfig } from "@dcae/train/diffusion";
import { UsageError } from "../usage-error.js";

export interface DiffusionChoice {
  readonly config?: string;
  readonly out?: string;
  readonly resume?: boolean;
  readonly data?: string;
  readonly validation?: string;
  readonly autoencoder?: string;
  readonly set?: readonly string[];
}

/**
 * The training that a command line means, with what its options replace, and the folder of its run.
 *
 * @throws UsageError when neither --config nor a run is given
 */
export async function chooseDiffusion(
  choice: DiffusionChoice,
): Promise<{ readonly config: DiffusionConfig; readonly directory: string }> {
  const { config: name, out, resume } = choice;
  if (name !== undefined) {
    const config = replace(await loadDiffusionConfig(name), choice);
    return { config, directory: out ?? join("runs", config.name) };
  }
  if (resume !== true || out === undefined) {
    throw new UsageError("give --config, a recipe or a JSON file (or --resume and the --out of a run)", {
      hint: "`dcae diffusion train --list` shows the recipes.",
    });
  }
  const path = trainingFile(out);
  if ((await stat(path).catch(() => undefined)) === undefined) {
    throw new UsageError(`--resume: there is no run in ${out}`, { hint: "Start one with --config." });
  }
  return { config: replace(await loadDiffusionConfig(path), choice), directory: out };
}

function replace(
  config: DiffusionConfig,
  { data, validation, autoencoder, set = [] }: DiffusionChoice,
): DiffusionConfig {
  const changed = {
    ...config,
    ...(autoencoder === undefined ? {} : { autoencoder }),
    data: {
      ...config.data,
      // Held-out latents belong to the data that they were held out of.
      ...(data === undefined ? {} : { path: data, validation: null }),
      ...(validation === undefined ? {} : { validation }),
    },
  };
  return rethrowAs(UsageError, "--set: ", () => parseDiffusionConfig(applySettings(changed, set), "settings"));
}
