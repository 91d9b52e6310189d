/**
 * Tar and zip shards in the manner of WebDataset, with random access: only positions are read in advance.
 *
 * With an index file (`wids_version` 1) a shard's list of members is read when the first of its pictures is wanted; without
 * one all lists are read at the start.
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import {
  fileError,
  openFileSource,
  readJson,
  readTarDirectory,
  readZipDirectory,
  zipDataOffset,
} from "@dcae/core/checkpoint";
import { DataError, errorMessage } from "@dcae/core/graph";
import {
  addLeftOut,
  countLeftOut,
  isPictureName,
  type LeftOut,
  leftOutKind,
  listFiles,
  whyIgnored,
} from "@dcae/core/image";
import { plural } from "@dcae/core/internal";
import { z } from "zod";
import type { PictureRecipe } from "./picture-recipe.js";
import type { RecipeSource } from "./picture-source.js";

/** Whether a file of that name is a shard. */
export const isArchiveName = (name: string): boolean => /\.(tar|zip)$/i.test(name);

/** A million shards need far less. */
const MAX_INDEX_BYTES = 256 * 2 ** 20;

const indexSchema = z.object({
  wids_version: z.literal(1),
  shardlist: z
    .array(z.object({ url: z.string().min(1), nsamples: z.int().min(0), filesize: z.int().min(0).optional() }))
    .min(1),
});

interface Shard {
  readonly path: string;
  readonly count: number;
}

/**
 * The samples of one archive; its format follows from its name.
 *
 * @throws DataError when it can't be read
 */
export async function readShard(path: string): Promise<ShardSamples> {
  return groupSamples(await readMembers(path));
}

async function readMembers(path: string): Promise<ShardMember[]> {
  let source: Awaited<ReturnType<typeof openFileSource>>;
  try {
    source = await openFileSource(path);
  } catch (error) {
    throw new DataError(errorMessage(error), { cause: error });
  }
  try {
    if (!path.toLowerCase().endsWith(".zip")) {
      const members = await readTarDirectory(source);
      return members.map(({ name, offset, size }) => ({ name, offset, size, storedSize: size, compression: "none" }));
    }
    const members: ShardMember[] = [];
    for (const member of (await readZipDirectory(source)).values()) {
      if (member.name.endsWith("/")) continue;
      if (member.method !== 0 && member.method !== 8) {
        throw new DataError(`${path}: "${member.name}" is compressed by method ${member.method}`, {
          hint: "Store or deflate the members.",
        });
      }
      members.push({
        name: member.name,
        offset: await zipDataOffset(source, member),
        storedSize: member.storedSize,
        size: member.size,
        compression: member.method === 0 ? "none" : "deflate",
      });
    }
    return members;
  } finally {
    await source.close();
  }
}

/** Shards that the index file lists; a url must be a path that stays inside of the index's folder. */
async function readIndex(path: string): Promise<Shard[]> {
  const folder = resolve(dirname(path));
  const json = await readJson(path, MAX_INDEX_BYTES);
  let index: z.infer<typeof indexSchema>;
  try {
    index = indexSchema.parse(json);
  } catch (error) {
    throw new DataError(`${path}: not an index of shards: ${errorMessage(error)}`, { cause: error });
  }
  // Each count is a safe integer, their sum needn't be; samples are numbered through all shards.
  const total = index.shardlist.reduce((sum, { nsamples }) => sum + nsamples, 0);
  if (!Number.isSafeInteger(total)) {
    throw new DataError(`${path}: its shards are said to have ${total} samples, more than can be numbered`, {
      hint: "Write the index again.",
    });
  }
  return index.shardlist.map(({ url, nsamples }) => {
    const shard = resolve(folder, url);
    if (/^[a-z][a-z0-9+.-]+:/i.test(url) || !shard.startsWith(folder + sep)) {
      throw new DataError(`${path}: "${url}" isn't a file beside the index`, {
        hint: "Download the shards; remote ones aren't read.",
      });
    }
    return { path: shard, count: nsamples };
  });
}

interface FoundShards {
  readonly shards: readonly Shard[];
  /** Those that are read already. */
  readonly known: ReadonlyMap<string, ShardSamples>;
  /** What lies beside the shards. */
  readonly beside: LeftOut;
}

async function findShards(path: string): Promise<FoundShards> {
  if (path.toLowerCase().endsWith(".json")) {
    return { shards: await readIndex(path), known: new Map(), beside: new Map() };
  }
  let paths: readonly string[] = [path];
  let beside: LeftOut = new Map();
  try {
    if ((await stat(path)).isDirectory()) {
      const { files, leftOut } = await listFiles(path, { accept: isArchiveName });
      paths = files.map((name) => join(path, name));
      beside = leftOut;
    }
  } catch (error) {
    throw fileError(error, path, "read");
  }
  if (paths.length === 0) throw new DataError(`${path}: there are no .tar or .zip shards in it`);
  const known = new Map<string, ShardSamples>();
  for (const shard of paths) known.set(shard, await readShard(shard));
  return { shards: [...known].map(([shard, { samples }]) => ({ path: shard, count: samples.length })), known, beside };
}

/**
 * The pictures of shards.
 *
 * @param path a .tar or .zip file, a folder of such files, or an index (.json)
 * @throws DataError when something of it can't be read
 */
export async function shardSource(path: string): Promise<RecipeSource> {
  const { shards, known, beside } = await findShards(path);
  const lists = new Map<string, Promise<ShardSamples>>([...known].map(([key, list]) => [key, Promise.resolve(list)]));
  const count = shards.reduce((sum, shard) => sum + shard.count, 0);
  if (count === 0) throw new DataError(`${path}: the shards hold no samples`);
  const hash = createHash("sha256");
  for (const shard of shards) hash.update(`${basename(shard.path)} ${shard.count}\n`);

  function listOf(shard: Shard): Promise<ShardSamples> {
    const list = lists.get(shard.path) ?? readShard(shard.path);
    lists.set(shard.path, list);
    return list;
  }

  return {
    name: path,
    count,
    ordered: true,
    fingerprint: hash.digest("hex"),
    leftOut: addLeftOut([beside, ...[...known.values()].map(({ leftOut }) => leftOut)]),
    async recipe(index) {
      const { shard, position } = locate(shards, index);
      const { samples } = await listOf(shard);
      if (samples.length !== shard.count) {
        throw new DataError(`${shard.path}: has ${plural(samples.length, "sample")}, the index says ${shard.count}`);
      }
      const sample = samples[position] as ShardSample;
      const picture = pictureOf(sample);
      if (picture === undefined) throw new DataError(`${shard.path}: the sample "${sample.key}" has no picture`);
      if ("length" in picture) {
        const names = picture.map(({ name }) => name).join(", ");
        throw new DataError(`${shard.path}: which picture of the sample "${sample.key}" is meant? It has ${names}`, {
          hint: "Samples are named up to the first dot, as WebDataset has it: rename the pictures, or add one without a second dot.",
        });
      }
      return { kind: "member", archive: shard.path, ...picture };
    },
  };
}

function locate(shards: readonly Shard[], index: number): { shard: Shard; position: number } {
  let position = index;
  for (const shard of shards) {
    if (position < shard.count) return { shard, position };
    position -= shard.count;
  }
  throw new DataError(`there is no sample ${index}`);
}

/** A member of an archive as the reader of its format found it. */
export type ShardMember = Omit<Extract<PictureRecipe, { kind: "member" }>, "kind" | "archive">;

interface ShardSample {
  /** Path up to the first dot of the file's own name. */
  readonly key: string;
  /** By extension with its dot, as in ".png" or ".seg.png". */
  readonly members: ReadonlyMap<string, ShardMember>;
}

interface ShardSamples {
  readonly samples: readonly ShardSample[];
  /** Hidden members, those that macOS adds, and those without ending, which belong to no sample. */
  readonly leftOut: LeftOut;
}

/** The position of the first dot of the file's own name; its end without one. */
function extensionStart(path: string): number {
  const dot = path.indexOf(".", path.lastIndexOf("/") + 1);
  return dot === -1 ? path.length : dot;
}

const isIgnored = (path: string) => path.split("/").some((part) => whyIgnored(part) !== undefined);

/**
 * The samples of a shard, as WebDataset has them: all members that share the path up to the first dot of the file's own name, in order
 * of first appearance (training.md section 8). So `x.seg.png` beside `x.png` is one sample with two members.
 *
 * The reference's loader cuts at the last dot, which is the same wherever names have one.
 */
function groupSamples(members: Iterable<ShardMember>): ShardSamples {
  const samples = new Map<string, Map<string, ShardMember>>();
  const leftOut = new Map<string, number>();
  for (const member of members) {
    const end = extensionStart(member.name);
    if (isIgnored(member.name) || end === member.name.length) {
      countLeftOut(leftOut, leftOutKind(member.name));
      continue;
    }
    const key = member.name.slice(0, end);
    const parts = samples.get(key) ?? new Map<string, ShardMember>();
    samples.set(key, parts);
    parts.set(member.name.slice(end), member);
  }
  return { samples: [...samples].map(([key, parts]) => ({ key, members: parts })), leftOut };
}

/**
 * The picture of a sample: the member whose extension is that of a picture alone (`x.png` before `x.seg.png`), or the only one
 * whose extension ends like it (`x.v2.png`).
 *
 * @returns undefined when there is none; several when which one is meant can't be told
 */
function pictureOf({ members }: ShardSample): ShardMember | readonly ShardMember[] | undefined {
  const pictures = [...members].filter(([extension]) => isPictureName(`x${extension}`));
  const plain =
    pictures.find(([extension]) => !extension.includes(".", 1)) ?? (pictures.length === 1 ? pictures[0] : undefined);
  if (plain !== undefined) return plain[1];
  return pictures.length === 0 ? undefined : pictures.map(([, member]) => member);
}
