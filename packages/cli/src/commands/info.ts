/** `dcae info`: what a model is, without running it. */
import { stat } from "node:fs/promises";
import { byteSize, sizeOf } from "@dcae/core/graph";
import type { Checkpoint } from "@dcae/core/internal";
import { describePreset, findPreset, type ModelDescription } from "@dcae/core/models";
import { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { readConfigFile } from "../files/read-config-file.js";
import { formatModel, summarizeModel } from "../model-summary.js";
import { addHubOptions, type HubFlags, openModel } from "../options/model-options.js";
import { parseSize, type Size } from "../options/parse-values.js";
import { UsageError } from "../usage-error.js";
import { addExamples } from "./command-group.js";

interface InfoFlags extends HubFlags {
  readonly size: Size;
  readonly json?: boolean;
}

/** What is known about a model besides its configuration. */
export interface CheckpointFacts {
  readonly format: Checkpoint["format"];
  readonly tensors: number;
  readonly bytes: number;
  readonly dtypes: readonly string[];
}

interface Subject {
  readonly model: ModelDescription;
  readonly checkpoint?: CheckpointFacts;
}

export function infoCommand(io: CliIo): Command {
  const command = new Command("info")
    .summary("configuration, size and work of a model")
    .description(
      "Shows configuration, parameters per part, latent shape and multiply-accumulates (MACs) of a model.\n" +
        "The name of a published model needs neither weights nor network.",
    )
    .argument("<model>", "published model, folder, weight file, config.json, or repository of the hub (is downloaded)")
    .option("--size <n|WxH>", "picture size that latent shape and MACs are for (default: 512)", parseSize);
  addHubOptions(command).option("--json", "print JSON");
  addExamples(command, [
    { does: "a published model, from its name alone", command: "dcae info dc-ae-f64c128-in-1.0" },
    { does: "a checkpoint on disk, for pictures of 1024x768", command: "dcae info ./dc-ae-f32c32 --size 1024x768" },
    { does: "for a program", command: "dcae info dc-ae-f32c32-sana-1.1 --json" },
  ]);
  return command.action(async (name: string, flags: InfoFlags) => {
    const { model, checkpoint } = await findSubject(name, flags, io);
    const preset = model.preset === undefined ? undefined : findPreset(model.preset);
    const summary = summarizeModel(model, flags.size ?? [512, 512]);
    const facts = { name, preset: preset?.name, hubId: preset?.hubId, published: preset?.published, checkpoint };
    io.out(flags.json === true ? JSON.stringify({ ...facts, ...summary }, undefined, 2) : formatModel(facts, summary));
  });
}

async function findSubject(name: string, flags: InfoFlags, io: CliIo): Promise<Subject> {
  const status = await stat(name).catch(() => undefined);
  const { size: _size, json: _json, ...hubFlags } = flags;
  const [used] = Object.keys(hubFlags);
  // What exists on disk is meant first, as everywhere where a model is asked for.
  const preset = status === undefined && used === undefined ? findPreset(name) : undefined;
  if (preset !== undefined) return { model: describePreset(preset) };
  if (status?.isFile() === true && isConfigFile(name)) {
    if (used === undefined) return { model: await readConfigFile(name) };
    throw new UsageError(`--${kebabCase(used)} has no effect on the configuration file ${name}`);
  }
  const { model, weights, format } = await openModel(name, hubFlags, io);
  const entries = [...weights.entries.values()];
  await weights.close();
  return {
    model,
    checkpoint: {
      format,
      tensors: entries.length,
      bytes: entries.reduce((sum, { dtype, shape }) => sum + sizeOf(shape) * byteSize(dtype), 0),
      dtypes: [...new Set(entries.map(({ dtype }) => dtype))].sort(),
    },
  };
}

function isConfigFile(path: string): boolean {
  return path.endsWith(".json") && !path.endsWith(".safetensors.index.json");
}

function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
