/** Trainings that a command makes from a checkpoint and its options (`finetune`, `distill`), rather than reading them. */
import { stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { rethrowAs } from "@dcae/core/graph";
import { describePreset, findPreset, type ModelDescription, requireFamily } from "@dcae/core/models";
import { loadTrainingConfig, type TrainingConfig } from "@dcae/train";
import type { DcAeDescription } from "@dcae/train/internal";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { type HubFlags, openModel } from "../options/model-options.js";
import { applyFlags, type Chosen, fileOfRun } from "./choose-training.js";
import type { TrainingFlags } from "./training-options.js";

/**
 * The training that a checkpoint's name begins, or that of the run which is resumed.
 *
 * @param option the checkpoint's, without dashes
 * @param making what makes the training, as flags: a run that is resumed has it already
 * @throws UsageError when neither is given, or a run that is resumed gets what would have made it
 */
export async function chooseMadeTraining(
  option: string,
  name: string | undefined,
  making: Readonly<Record<string, unknown>>,
  flags: TrainingFlags,
  make: (name: string) => Promise<TrainingConfig>,
): Promise<Chosen<TrainingConfig>> {
  const { out, resume } = flags;
  if (name !== undefined) {
    const config = await make(name);
    return { config, directory: out ?? join("runs", config.name) };
  }
  if (resume !== true || out === undefined) {
    throw new UsageError(`give --${option} (or --resume and the --out of a run)`);
  }
  const useless = Object.entries(making).find(([, value]) => value !== undefined)?.[0];
  if (useless === undefined) {
    const config = await loadTrainingConfig(await fileOfRun(out, `--${option}`));
    return { config: await applyFlags(config, flags), directory: out };
  }
  const dashed = useless.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new UsageError(`--${dashed} has no effect on a run that is resumed`, {
    hint: "Values that may change can be given by --set, as in --set phases.finetune.steps=8000.",
  });
}

/** The checkpoint as a training names it. */
export function sourceOf(
  name: string,
  { revision, subfolder }: Pick<HubFlags, "revision" | "subfolder">,
): NonNullable<TrainingConfig["init"]> {
  if (revision === undefined && subfolder === undefined) return name;
  const place = {
    ...(revision === undefined ? {} : { revision }),
    ...(subfolder === undefined ? {} : { subfolder }),
  };
  return { model: name, ...place };
}

/** What a checkpoint is; of a published one that isn't here yet, without downloading it. */
export async function describeCheckpoint(name: string, flags: HubFlags, io: CliIo): Promise<ModelDescription> {
  const isLocal = (await stat(name).catch(() => undefined)) !== undefined;
  const preset = isLocal || flags.config !== undefined ? undefined : findPreset(name);
  if (preset !== undefined) return describePreset(preset);
  const { model, weights } = await openModel(name, flags, io);
  await weights.close();
  return model;
}

/** @param subject for the message: the option and its value. @throws UsageError when it is no DC-AE */
export function dcAeOnly(model: ModelDescription, subject: string): DcAeDescription {
  return rethrowAs(UsageError, "", () => requireFamily(model, "dc-ae", subject, "Only DC-AE is trained here."));
}

/** As a run can be called. */
export function runName(model: string): string {
  const name = basename(model, extname(model) === ".safetensors" ? ".safetensors" : "").toLowerCase();
  return name.replace(/[^a-z0-9.-]+/g, "-").replace(/^[^a-z0-9]+/, "") || "model";
}
