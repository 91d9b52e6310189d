/** What an evaluation gives: numbers with everything that is needed to judge and repeat them. Plain data, stored as JSON. */
import { availableParallelism, cpus, totalmem } from "node:os";
import { DataError } from "@dcae/core";
import { readJson, writeFileAtomic } from "@dcae/core/checkpoint";
import {
  type Field,
  FieldError,
  finite,
  flag,
  list,
  object,
  oneOf,
  record,
  text,
  whole,
} from "../files/json-fields.js";
import type { MissingMetric, UsedNetwork } from "../networks/find-network.node.js";
import { METRICS, type Metric } from "../protocols/metrics.js";
import { type Protocol, protocolFields } from "../protocols/protocol.js";
import type { Unusable } from "../sources/picture-source.js";

export interface MetricValue {
  /** May be Infinity (the PSNR of identical pictures); written to JSON as "Infinity". */
  readonly value: number;
  /** Spread over pictures or parts, population standard deviation. */
  readonly std?: number;
  /** Pictures that went in. */
  readonly count: number;
  /** Said beside the value. */
  readonly note?: string;
}

/** Values per picture, in the order of `names`. */
export interface PerPicture {
  readonly names: readonly string[];
  /** Positions in the source, which pictures that couldn't be read have too. */
  readonly indices: readonly number[];
  readonly values: Readonly<Partial<Record<Metric, readonly number[]>>>;
}

/** Where the numbers were computed. */
export interface Machine {
  readonly platform: string;
  readonly cpu: string;
  readonly threads: number;
  readonly memoryGiB: number;
  readonly node: string;
}

/** What an evaluation found, with all that says how it was measured. */
export interface EvaluationResult {
  readonly formatVersion: 1;
  readonly kind: "reconstruction" | "generation";
  /** ISO 8601. */
  readonly date: string;
  /** The model or set of samples that was judged. */
  readonly subject: string;
  /** Of the weights of the model that was judged, or of the samples. */
  readonly subjectFingerprint: string;
  /** How the subject made its pictures, where it isn't told by its name: guidance, steps, seed. */
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly pictures: {
    readonly source: string;
    /** Equal for the same pictures, wherever they lie. */
    readonly fingerprint: string;
    /** How many could be used. */
    readonly count: number;
    /** How many of which size, as in { "512x512": 5000 }. */
    readonly sizes: Readonly<Record<string, number>>;
    readonly unusable: readonly Unusable[];
  };
  /** What the pictures were compared with, where that isn't themselves. */
  readonly reference?: {
    readonly name: string;
    readonly fingerprint: string;
    /** How many of its pictures couldn't be used; 0 for statistics. */
    readonly unusable: number;
  };
  readonly protocol: Protocol;
  readonly metrics: Readonly<Partial<Record<Metric, MetricValue>>>;
  readonly missing: readonly MissingMetric[];
  readonly warnings: readonly string[];
  readonly networks: readonly UsedNetwork[];
  /** Moments of the latents (training.md section 10); 1 / rms is the scaling factor of diffusion models. */
  readonly latent?: { readonly mean: number; readonly rms: number; readonly std: number; readonly count: number };
  readonly perPicture?: PerPicture;
  readonly engine: string;
  readonly machine: Machine;
  readonly seconds: number;
}

export function thisMachine(): Machine {
  return {
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    threads: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
}

// Results as JSON files, read back field by field. JSON has no Infinity, which a PSNR can be, so it stands there as text.

const INFINITIES: Readonly<Record<string, number>> = {
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

/** JSON has no Infinity, which a PSNR can be, so it stands there as text. */
const measured: Field<number> = (value, name) =>
  typeof value === "string" && Object.hasOwn(INFINITIES, value) ? (INFINITIES[value] as number) : finite(value, name);

const METRIC_NAMES = Object.keys(METRICS) as Metric[];
const metric = oneOf(...METRIC_NAMES);
const unusableFields = object<Unusable>({ name: text, problem: text }, {});

const settingsFields: Field<Readonly<Record<string, string | number>>> = record((value, name) =>
  typeof value === "string" ? value : finite(value, name),
);

const perPictureFields: Field<PerPicture> = (value, name) => {
  const fields = { names: list(text), indices: list(whole(0)), values: record(list(measured), METRIC_NAMES) };
  const result = object<PerPicture>(fields, {})(value, name);
  const { names, indices, values } = result;
  for (const [what, column] of Object.entries({ indices, ...values })) {
    if (column.length === names.length) continue;
    throw new FieldError(`${name}: ${what}`, `${names.length} values, one per picture`, column.length);
  }
  return result;
};

type WithFile = EvaluationResult["networks"][number]["files"][number];

const resultFields: Field<Omit<EvaluationResult, "formatVersion">> = object(
  {
    kind: oneOf("reconstruction", "generation"),
    date: text,
    subject: text,
    subjectFingerprint: text,
    pictures: object<EvaluationResult["pictures"]>(
      { source: text, fingerprint: text, count: whole(0), sizes: record(whole(1)), unusable: list(unusableFields) },
      {},
    ),
    protocol: protocolFields,
    metrics: record(
      object<MetricValue>({ value: measured, count: whole(0) }, { std: measured, note: text }),
      METRIC_NAMES,
    ),
    missing: list(object<EvaluationResult["missing"][number]>({ metric, reason: text }, { hint: text })),
    warnings: list(text),
    networks: list(
      object<EvaluationResult["networks"][number]>(
        {
          network: oneOf("inception", "lpips-alex", "lpips-vgg", "clip"),
          files: list(object<WithFile>({ path: text, sha256: text, published: flag }, {})),
        },
        {},
      ),
    ),
    engine: text,
    machine: object<Machine>({ platform: text, cpu: text, threads: whole(1), memoryGiB: finite, node: text }, {}),
    seconds: finite,
  },
  {
    settings: settingsFields,
    reference: object<NonNullable<EvaluationResult["reference"]>>(
      { name: text, fingerprint: text, unusable: whole(0) },
      {},
    ),
    latent: object<NonNullable<EvaluationResult["latent"]>>(
      { mean: finite, rms: finite, std: finite, count: whole(0) },
      {},
    ),
    perPicture: perPictureFields,
  },
);

const WORDS: ReadonlyMap<number, string> = new Map([
  [Number.POSITIVE_INFINITY, "Infinity"],
  [Number.NEGATIVE_INFINITY, "-Infinity"],
]);

/** JSON text of a result (or any plain data with numbers). */
export function stringifyResult(value: unknown): string {
  return JSON.stringify(value, (_, item) => (typeof item === "number" ? (WORDS.get(item) ?? item) : item), 2);
}

/** @throws DataError when the file can't be written */
/** Writes a result as JSON, whole or not at all. */
export async function writeResult(path: string, result: object): Promise<void> {
  await writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(`${stringifyResult(result)}\n`)));
}

/** A result has some kilobytes, and a line or two per picture. */
const MAX_BYTES = 2 ** 28;

/**
 * Reads a result back.
 *
 * @throws DataError when the file can't be read or isn't a whole result of a known version, naming the field
 */
export async function readResult(path: string): Promise<EvaluationResult> {
  const parsed = await readJson(path, MAX_BYTES);
  if (typeof parsed !== "object" || parsed === null || !("formatVersion" in parsed) || parsed.formatVersion !== 1) {
    throw new DataError(`${path}: isn't a result of an evaluation (format version 1)`);
  }
  try {
    return { formatVersion: 1, ...resultFields(parsed, "") };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new DataError(`${path}: isn't a whole result: ${error.message}`, {
      hint: "The file was damaged or changed; evaluate again.",
      cause: error,
    });
  }
}
