/** `dcae info`: what a model is without running it: sizes, shapes, work. */
import { stat } from "node:fs/promises";
import { byteSize, countMacs, sizeOf } from "@dcae/core/graph";
import { type Checkpoint, formatTable } from "@dcae/core/internal";
import {
  buildDecodeProgram,
  buildEncodeProgram,
  compressionOf,
  configValues,
  countParameters,
  describePreset,
  FAMILIES,
  familyOf,
  findPreset,
  hasPart,
  type ModelDescription,
  modelParameters,
  type ParameterCounts,
  type PublishedEvaluation,
} from "@dcae/core/models";
import { Command } from "commander";
import { type CliIo, formatBytes, formatCount, plural } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { addHubOptions, type HubFlags, openModel, readConfigFile } from "../options/model-options.js";
import { parseSize, type Size } from "../options/parse-values.js";
import { addExamples } from "./command-group.js";

interface InfoFlags extends HubFlags {
  readonly size: Size;
  readonly json?: boolean;
}

/** What is known about a model besides its configuration. */
interface CheckpointFacts {
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
    .argument(
      "<model>",
      "published model, folder, weight file, config.json, or repository of the hub (it is downloaded)",
    )
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
    if (flags.json === true) io.json({ ...facts, ...summary });
    else io.out(formatModel(facts, summary));
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

interface ModelSummary {
  readonly kind: ModelDescription["kind"];
  readonly compression: number;
  readonly latentChannels: number;
  /** Whether fewer latent channels can be asked for. */
  readonly adaptive: boolean;
  readonly scalingFactor: number | null;
  readonly shiftFactor: number | null;
  readonly parameters: ParameterCounts;
  /** [1, C, H, W] that the following is for. */
  readonly pictureShape: readonly number[];
  readonly latentShape: readonly number[];
  /** Multiply-accumulates of convolutions and matrix products, per picture; null for a half that the checkpoint lacks. */
  readonly macs: { readonly encode: number | null; readonly decode: number | null };
  /** Under the names of its authors, or those of diffusers where they have none. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** @throws UsageError when the size isn't a multiple of the compression */
function summarizeModel(model: ModelDescription, [height, width]: Size): ModelSummary {
  const compression = compressionOf(model);
  if (height % compression !== 0 || width % compression !== 0) {
    throw new UsageError(
      `--size ${width}x${height}: sides must be multiples of ${compression}, the model's compression`,
    );
  }
  const pictureShape = [1, model.config.inChannels, height, width];
  const latentShape = [1, model.config.latentChannels, height / compression, width / compression];
  const encode = hasPart(model, "encoder") ? countMacs(buildEncodeProgram(model, pictureShape)) : null;
  const decode = hasPart(model, "decoder") ? countMacs(buildDecodeProgram(model, latentShape)) : null;
  return {
    kind: model.kind,
    compression,
    latentChannels: model.config.latentChannels,
    adaptive: familyOf(model).isAdaptive(model.config).encoder,
    scalingFactor: model.scalingFactor,
    shiftFactor: model.shiftFactor,
    parameters: countParameters(modelParameters(model)),
    pictureShape,
    latentShape,
    macs: { encode, decode },
    config: configValues(model),
  };
}

// The text of `dcae info`.

interface ModelFacts {
  readonly name: string;
  readonly preset?: string | undefined;
  readonly hubId?: string | null | undefined;
  readonly published?: PublishedEvaluation | undefined;
  readonly checkpoint?: CheckpointFacts | undefined;
}

type Row = readonly [label: string, value: string];

function formatModel(facts: ModelFacts, summary: ModelSummary): string {
  const rows = [...identity(facts, summary), ...numbers(facts, summary)];
  return [facts.name, ...formatTable(rows), "config", ...configLines(summary.config)].join("\n");
}

function identity(
  { name, preset, hubId, checkpoint }: ModelFacts,
  { kind, scalingFactor, shiftFactor }: ModelSummary,
): Row[] {
  const rows: Row[] = [["kind", `${FAMILIES[kind].label} (${FAMILIES[kind].className})`]];
  if (preset !== undefined && preset !== name) rows.push(["published model", preset]);
  if (typeof hubId === "string" && hubId !== name) rows.push(["on the hub", hubId]);
  if (checkpoint !== undefined) {
    const { format, tensors, bytes, dtypes } = checkpoint;
    rows.push([
      "checkpoint",
      `${format} format, ${plural(tensors, "tensor")}, ${formatBytes(bytes)}, ${dtypes.join(" and ")}`,
    ]);
  }
  rows.push(["scaling factor", scalingFactor === null ? "not published" : String(scalingFactor)]);
  if (shiftFactor !== null) rows.push(["shift factor", String(shiftFactor)]);
  return rows;
}

function numbers({ published }: ModelFacts, summary: ModelSummary): Row[] {
  const { compression, latentChannels, adaptive, parameters, pictureShape, latentShape, macs } = summary;
  const { encoder, decoder, other, total } = parameters;
  const [height, width] = pictureShape.slice(2);
  const rows: Row[] = [
    [
      "compression",
      `${compression}x${compression} pixels to ${plural(latentChannels, "channel")}${adaptive ? " or fewer" : ""}`,
    ],
    ["encoder", `${formatCount(encoder)} parameters`],
    ["decoder", `${formatCount(decoder)} parameters`],
    ["total", `${formatCount(total)} parameters${other === 0 ? "" : `, ${other} of them around the latent`}`],
    [`at ${width}x${height}`, `latent [${latentShape.join(", ")}]`],
    ["", `encode ${gmacs(macs.encode)}, decode ${gmacs(macs.decode)}`],
  ];
  if (published !== undefined) {
    const { dataset, resolution, psnr, rFid } = published;
    rows.push(["published", `PSNR ${psnr}, rFID ${rFid} (${dataset}, ${resolution}x${resolution})`]);
  }
  return rows;
}

function gmacs(macs: number | null): string {
  if (macs === null) return "not in the checkpoint";
  return macs < 1e8 ? `${formatCount(macs)} MACs` : `${(macs / 1e9).toFixed(1)} GMACs`;
}

/** Values on one line each; objects indented. */
function configLines(config: Readonly<Record<string, unknown>>, indent = "  "): string[] {
  return Object.entries(config).flatMap(([key, value]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? [`${indent}${key}`, ...configLines(value as Record<string, unknown>, `${indent}  `)]
      : [`${indent}${key} ${JSON.stringify(value)}`],
  );
}
