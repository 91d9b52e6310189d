/**
 * What a folder of latents says about itself, in `latents.json`.
 *
 * Folders written by the reference have no such file: then the class folders and the first array tell everything but
 * what is missing.
 */
import { DataError } from "@dcae/core";
import { parseJson } from "@dcae/core/checkpoint";
import { sizeOf } from "@dcae/core/graph";

/**
 * - `npy`: the reference's layout, one array per picture at `<class>/<name>.npy`
 * - `shards`: files of many latents with their labels
 * - `tar`: archives for WebDataset, with an `.npy` and a `.cls` for each latent
 */
export const LATENT_LAYOUTS = ["shards", "npy", "tar"] as const;
/** How a folder of latents lies on disk. */
export type LatentLayout = (typeof LATENT_LAYOUTS)[number];

export const MANIFEST_NAME = "latents.json";
const FORMAT = "dcae-latents";
/** Version 1 knew neither shift nor what the pictures, the seed and the weights were. */
const VERSIONS = [1, 2] as const;
const VERSION = 2;

export interface LatentManifest {
  readonly layout: LatentLayout;
  /** Of one latent, [C, S, S]. */
  readonly shape: readonly [number, number, number];
  readonly dtype: "float32" | "float16";
  /** Names of the classes; labels are positions in this list. */
  readonly classes: readonly string[];
  /** Pictures as `<class>/<name>`, in the order of the latents. */
  readonly pictures: readonly string[];
  /** Whether each latent is followed by that of the mirrored picture. */
  readonly mirrored: boolean;
  /** Latents per shard (and per unit of work). */
  readonly shardSize: number;
  /** The autoencoder that made them: repository, name of a published or the bundled model, or absolute path. */
  readonly source: string;
  /** Factor that the latents were multiplied by: they are (z - shiftFactor) * scalingFactor. */
  readonly scalingFactor: number;
  /** Subtracted before scaling. */
  readonly shiftFactor: number;
  /**
   * Size and time of each picture's file, as `pictureFile` writes them, so that a picture that was replaced is noticed; null for
   * one that couldn't be reached, and in place of the list where there are no files (scenes), or nobody noted them.
   */
  readonly files: readonly (string | null)[] | null;
  /** How files became pixels, as "pillow"; null where there are none (scenes), or nobody noted it. */
  readonly decoding: string | null;
  /** Of scenes and of the noise of an SD-VAE, in decimal digits; null where nothing was drawn, or nobody noted it. */
  readonly seed: string | null;
  /** Fingerprint of the autoencoder's weights; null where nobody noted it. */
  readonly weights: string | null;
}

/** What a manifest notes of a picture's file: bytes, and the time of its last change in milliseconds. */
export function pictureFile({ size, mtimeMs }: { readonly size: number; readonly mtimeMs: number }): string {
  return `${size} ${Math.round(mtimeMs)}`;
}

/** Latents in a folder, where no picture was left out. */
export function latentCount({ pictures, mirrored }: LatentManifest): number {
  return pictures.length * (mirrored ? 2 : 1);
}

/** Shards (units of work) of a folder. */
export function shardCount(manifest: LatentManifest): number {
  return Math.ceil(latentCount(manifest) / manifest.shardSize);
}

/** First latent of a shard, and the one after its last. */
function shardRange(manifest: LatentManifest, shard: number): readonly [start: number, stop: number] {
  const start = shard * manifest.shardSize;
  return [start, Math.min(start + manifest.shardSize, latentCount(manifest))];
}

export interface LatentItem {
  /** Number of the latent, counting those that were left out. */
  readonly index: number;
  /** `<class>/<name>` */
  readonly picture: string;
  readonly label: number;
  readonly mirrored: boolean;
}

/** What latent number `index` is made from. */
function latentItem(manifest: LatentManifest, index: number): LatentItem {
  const copies = manifest.mirrored ? 2 : 1;
  const picture = manifest.pictures[Math.floor(index / copies)] as string;
  const label = manifest.classes.indexOf(picture.slice(0, picture.indexOf("/")));
  return { index, picture, label, mirrored: index % copies === 1 };
}

/** What a unit of work (shard) is made from, without the pictures that were left out. */
export function unitItems(
  manifest: LatentManifest,
  unit: number,
  skipped: ReadonlyMap<string, string> = new Map(),
): LatentItem[] {
  const [start, stop] = shardRange(manifest, unit);
  const items = Array.from({ length: stop - start }, (_, i) => latentItem(manifest, start + i));
  return skipped.size === 0 ? items : items.filter(({ picture }) => !skipped.has(picture));
}

/** File of a latent in the npy layout. */
export function npyName({ picture, mirrored }: LatentItem): string {
  return `${picture}${mirrored ? ".mirrored" : ""}.npy`;
}

export function shardName(shard: number): string {
  return `latents-${String(shard).padStart(6, "0")}.safetensors`;
}

export function tarName(shard: number): string {
  return `latents-${String(shard).padStart(6, "0")}.tar`;
}

export function manifestText(manifest: LatentManifest): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, ...manifest }, null, 1)}\n`;
}

/**
 * Reads a manifest.
 *
 * @param source for messages: the file
 * @throws DataError when it is damaged, or names that leave the folder
 */
export function parseManifest(bytes: Uint8Array, source: string): LatentManifest {
  const refuse = (problem: string): never => {
    throw new DataError(`${source}: ${problem}`, { hint: "Write the latents again into an empty folder." });
  };
  const json = parseJson(bytes, source, DataError);
  const fields = (typeof json === "object" && json !== null ? json : {}) as Readonly<Record<string, unknown>>;
  const { format, version, layout, shape, dtype, classes, pictures, mirrored, shardSize, source: from } = fields;
  if (format !== FORMAT || !VERSIONS.some((known) => known === version)) {
    return refuse(`isn't a description of latents (version ${VERSIONS.join(" or ")})`);
  }
  const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 1;
  const isNames = (value: unknown): value is string[] => Array.isArray(value) && value.every(isSafeName);
  const known = LATENT_LAYOUTS.find((name) => name === layout);
  if (known === undefined) return refuse(`layout is ${JSON.stringify(layout)}`);
  if (dtype !== "float32" && dtype !== "float16") return refuse(`dtype is ${JSON.stringify(dtype)}`);
  if (!(Array.isArray(shape) && shape.length === 3 && shape.every(isSize) && sizeOf(shape) < 2 ** 28)) {
    return refuse(`shape is ${JSON.stringify(shape)}, not three sizes`);
  }
  if (!isNames(classes) || !isNames(pictures)) return refuse("classes or pictures aren't lists of names in the folder");
  const folders = new Set(classes);
  const stray = pictures.find((name) => !folders.has(name.slice(0, name.indexOf("/"))));
  if (stray !== undefined) return refuse(`the picture ${JSON.stringify(stray)} is in no class`);
  if (typeof mirrored !== "boolean" || !isSize(shardSize) || typeof from !== "string") {
    return refuse("mirrored, shardSize or source has another type");
  }
  // What version 1 doesn't have. Numbers of JSON may be infinite.
  const { scalingFactor, shiftFactor = 0, files = null, decoding = null, seed = null, weights = null } = fields;
  if (!(typeof scalingFactor === "number" && scalingFactor > 0 && Number.isFinite(scalingFactor))) {
    return refuse("scalingFactor isn't a positive number");
  }
  if (!(typeof shiftFactor === "number" && Number.isFinite(shiftFactor))) return refuse("shiftFactor isn't a number");
  const isNoted = (value: unknown) =>
    value === null || (typeof value === "string" && /^\d{1,16} -?\d{1,16}$/.test(value));
  if (!(files === null || (Array.isArray(files) && files.length === pictures.length && files.every(isNoted)))) {
    return refuse("files isn't a list of size and time, one for each picture");
  }
  if (!(decoding === null || typeof decoding === "string")) return refuse("decoding isn't the name of a rule");
  if (!(seed === null || (typeof seed === "string" && /^\d{1,20}$/.test(seed))))
    return refuse("seed isn't a number in quotes");
  if (!(weights === null || typeof weights === "string")) return refuse("weights isn't a fingerprint");
  return {
    layout: known,
    shape: shape as [number, number, number],
    dtype,
    classes,
    pictures,
    mirrored,
    shardSize: shardSize as number,
    source: from,
    ...{ scalingFactor, shiftFactor, files: files as LatentManifest["files"], decoding, seed, weights },
  };
}

const KINDS = {
  layout: "layout",
  shape: "shape",
  dtype: "type",
  classes: "classes",
  mirrored: "mirrored pictures",
  shardSize: "latents per shard",
  source: "autoencoder",
  scalingFactor: "scaling factor",
  shiftFactor: "shift factor",
  decoding: "decoding of pictures",
  seed: "seed",
  weights: "weights of the autoencoder",
} as const satisfies Partial<Record<keyof LatentManifest, string>>;

/** Names that are too long for a message are cut. */
const shown = (value: unknown) => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
};

/**
 * What keeps a folder from going on as `wanted`, in words; undefined where they are the same. What either doesn't know isn't compared.
 *
 * @param present what the folder says
 */
export function manifestDifference(present: LatentManifest, wanted: LatentManifest): string | undefined {
  for (const [key, words] of Object.entries(KINDS) as [keyof typeof KINDS, string][]) {
    const [before, now] = [present[key], wanted[key]];
    if (before === null || now === null || JSON.stringify(before) === JSON.stringify(now)) continue;
    return `${words}: ${shown(before)} there, ${shown(now)} now`;
  }
  const count = Math.max(present.pictures.length, wanted.pictures.length);
  for (let i = 0; i < count; i++) {
    const [before, now] = [present.pictures[i], wanted.pictures[i]];
    if (before !== now) return `pictures: number ${i + 1} is ${shown(before)} there, ${shown(now)} now`;
  }
  return undefined;
}

export interface ReplacedPicture {
  /** Position in the list of pictures. */
  readonly index: number;
  /** What happened, in words. */
  readonly words: string;
}

/** Pictures whose files aren't those that `present` notes. What either doesn't know isn't compared. */
export function replacedPictures(present: LatentManifest, wanted: LatentManifest): ReplacedPicture[] {
  return wanted.pictures.flatMap((picture, index) => {
    const [before, now] = [present.files?.[index], wanted.files?.[index]];
    if (before === undefined || now === undefined || before === now) return [];
    const words = `the picture ${shown(picture)} was replaced: ${fileWords(before)} there, ${fileWords(now)} now`;
    return [{ index, words }];
  });
}

function fileWords(file: string | null): string {
  if (file === null) return "no file";
  const [size, time] = file.split(" ").map(Number) as [number, number];
  const date = new Date(time);
  return `${size} bytes of ${Number.isNaN(date.getTime()) ? time : date.toISOString()}`;
}

/** A relative name that stays in its folder. */
function isSafeName(value: unknown): value is string {
  if (typeof value !== "string" || value === "" || value.includes("\\") || value.includes("\0")) return false;
  return !value.startsWith("/") && value.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
