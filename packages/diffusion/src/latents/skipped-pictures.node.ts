/**
 * Pictures that couldn't be read and whose latents were left out: `skipped-000003.json` beside shard 3, with the reasons. The
 * description of the folder goes on naming all pictures, so that an unreadable one costs no latent that was there already.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "@dcae/core";
import { errorCode, fileError, parseJson, writeFileAtomic } from "@dcae/core/checkpoint";
import { removeFile } from "@dcae/core/internal";
import { type LatentManifest, shardCount, unitItems } from "./latent-manifest.js";

/** Why each picture was left out, by `<class>/<name>`. */
export type SkippedPictures = ReadonlyMap<string, string>;

function skippedName(unit: number): string {
  return `skipped-${String(unit).padStart(6, "0")}.json`;
}

/**
 * What a unit lacks; nothing where it has no such file.
 *
 * @throws DataError when the file is damaged, or names pictures that aren't in the unit
 */
export async function readSkipped(folder: string, manifest: LatentManifest, unit: number): Promise<SkippedPictures> {
  const path = join(folder, skippedName(unit));
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return new Map();
    throw fileError(error, path, "read");
  }
  const pictures = picturesIn(parseJson(bytes, path, DataError));
  const known = new Set(unitItems(manifest, unit).map(({ picture }) => picture));
  const stray = pictures === undefined ? undefined : [...pictures.keys()].find((name) => !known.has(name));
  if (pictures !== undefined && stray === undefined) return pictures;
  throw new DataError(
    `${path}: ${stray === undefined ? "isn't a list of pictures that were left out" : `names ${JSON.stringify(stray)}, which isn't in this part`}`,
    { hint: "Delete the file and write the latents again." },
  );
}

function picturesIn(json: unknown): SkippedPictures | undefined {
  const { pictures } = (json ?? {}) as { readonly pictures?: unknown };
  if (typeof pictures !== "object" || pictures === null) return undefined;
  const entries = Object.entries(pictures);
  return entries.every((entry): entry is [string, string] => typeof entry[1] === "string")
    ? new Map(entries as [string, string][])
    : undefined;
}

/** Writes what a unit lacks, before the unit itself; a unit that lacks nothing has no such file. */
export async function writeSkipped(folder: string, unit: number, pictures: SkippedPictures): Promise<void> {
  const path = join(folder, skippedName(unit));
  if (pictures.size === 0) {
    await removeFile(path);
    return;
  }
  const text = `${JSON.stringify({ pictures: Object.fromEntries(pictures) }, null, 1)}\n`;
  await writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(text)));
}

/** All pictures that a folder lacks. */
export async function skippedPictures(folder: string, manifest: LatentManifest): Promise<SkippedPictures> {
  const all = new Map<string, string>();
  for (let unit = 0; unit < shardCount(manifest); unit++) {
    for (const [picture, reason] of await readSkipped(folder, manifest, unit)) all.set(picture, reason);
  }
  return all;
}
