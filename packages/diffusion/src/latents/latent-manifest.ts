/**
 * What a folder of latents says about itself, in `latents.json`.
 *
 * Folders written by the reference have no such file: then the class folders and the first array tell everything but
 * what is missing.
 */
import { DataError } from "@dcae/core";
import { sizeOf } from "@dcae/core/graph";

/**
 * - `npy`: the reference's layout, one array per picture at `<class>/<name>.npy`
 * - `shards`: files of many latents with their labels
 */
export type LatentLayout = "npy" | "shards";

export const MANIFEST_NAME = "latents.json";
const FORMAT = "dcae-latents";
const VERSION = 1;

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
  /** Factor that the latents were multiplied by. */
  readonly scalingFactor: number;
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
export function shardRange(manifest: LatentManifest, shard: number): readonly [start: number, stop: number] {
  const start = shard * manifest.shardSize;
  return [start, Math.min(start + manifest.shardSize, latentCount(manifest))];
}

export interface LatentItem {
  /** `<class>/<name>` */
  readonly picture: string;
  readonly label: number;
  readonly mirrored: boolean;
}

/** What latent number `index` is made from. */
export function latentItem(manifest: LatentManifest, index: number): LatentItem {
  const copies = manifest.mirrored ? 2 : 1;
  const picture = manifest.pictures[Math.floor(index / copies)] as string;
  const label = manifest.classes.indexOf(picture.slice(0, picture.indexOf("/")));
  return { picture, label, mirrored: index % copies === 1 };
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

export function manifestText(manifest: LatentManifest): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, ...manifest }, null, 1)}\n`;
}

/**
 * Reads the text of a manifest.
 *
 * @param source for messages: the file
 * @throws DataError when it is damaged, or names that leave the folder
 */
export function parseManifest(text: string, source: string): LatentManifest {
  const refuse = (problem: string): never => {
    throw new DataError(`${source}: ${problem}`, { hint: "Write the latents again into an empty folder." });
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return refuse("isn't JSON");
  }
  const fields = (typeof json === "object" && json !== null ? json : {}) as Readonly<Record<string, unknown>>;
  const { format, version, layout, shape, dtype, classes, pictures, mirrored, shardSize, source: from } = fields;
  if (format !== FORMAT || version !== VERSION) return refuse(`isn't a description of latents (version ${VERSION})`);
  const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 1;
  const isNames = (value: unknown): value is string[] => Array.isArray(value) && value.every(isSafeName);
  if (layout !== "npy" && layout !== "shards") return refuse(`layout is ${JSON.stringify(layout)}`);
  if (dtype !== "float32" && dtype !== "float16") return refuse(`dtype is ${JSON.stringify(dtype)}`);
  if (!(Array.isArray(shape) && shape.length === 3 && shape.every(isSize) && sizeOf(shape) < 2 ** 28)) {
    return refuse(`shape is ${JSON.stringify(shape)}, not three sizes`);
  }
  if (!isNames(classes) || !isNames(pictures)) return refuse("classes or pictures aren't lists of names in the folder");
  const known = new Set(classes);
  const stray = pictures.find((name) => !known.has(name.slice(0, name.indexOf("/"))));
  if (stray !== undefined) return refuse(`the picture ${JSON.stringify(stray)} is in no class`);
  if (typeof mirrored !== "boolean" || !isSize(shardSize) || typeof from !== "string") {
    return refuse("mirrored, shardSize or source has another type");
  }
  const { scalingFactor } = fields;
  if (!(typeof scalingFactor === "number" && scalingFactor > 0)) return refuse("scalingFactor isn't a positive number");
  return {
    layout,
    shape: shape as [number, number, number],
    dtype,
    classes,
    pictures,
    mirrored,
    shardSize: shardSize as number,
    source: from,
    scalingFactor,
  };
}

/** A relative name that stays in its folder. */
function isSafeName(value: unknown): value is string {
  if (typeof value !== "string" || value === "" || value.includes("\\") || value.includes("\0")) return false;
  return !value.startsWith("/") && value.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
