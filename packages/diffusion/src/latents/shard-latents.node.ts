/**
 * The compact layout: safetensors files of many latents (`latents` [n, C, S, S], `labels` [n]) with their sums per channel.
 * A latent is read by its place in the file, so that shuffled training needs no shard in memory.
 */
import { join } from "node:path";
import { CheckpointError, DataError } from "@dcae/core";
import { openSafetensorsFile, type SafetensorsFile, tensorFromBytes } from "@dcae/core/checkpoint";
import type { DType } from "@dcae/core/graph";
import { addChannelSums, channelSums } from "@dcae/core/internal";
import { joinLatents, type LatentDataset, statisticsFrom } from "./latent-dataset.js";
import { type LatentManifest, shardCount, shardName, unitItems } from "./latent-manifest.js";
import { shardFiles, shardOf } from "./shard-files.node.js";
import { readSkipped } from "./skipped-pictures.node.js";

/** A shard's items, and its file. */
export interface OpenShard {
  readonly file: SafetensorsFile;
  /** Latents in the file. */
  readonly length: number;
}

/**
 * Opens a shard and checks that it is whole and what the manifest promises. Close it when done.
 *
 * @throws DataError naming the file
 */
export async function openShard(folder: string, manifest: LatentManifest, shard: number): Promise<OpenShard> {
  const path = join(folder, shardName(shard));
  const { length } = unitItems(manifest, shard, await readSkipped(folder, manifest, shard));
  const [channels] = manifest.shape;
  const expected: Readonly<Record<string, readonly [DType, readonly number[]]>> = {
    latents: [manifest.dtype, [length, ...manifest.shape]],
    labels: ["int32", [length]],
    sums: ["float64", [channels]],
    squares: ["float64", [channels]],
  };
  let file: SafetensorsFile;
  try {
    file = await openSafetensorsFile(path);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    throw new DataError(error.message, {
      cause: error,
      hint: "Run the writing of these latents again; it completes them.",
    });
  }
  for (const [name, [dtype, shape]] of Object.entries(expected)) {
    const entry = file.entries.get(name);
    if (entry?.dtype === dtype && entry.shape.join() === shape.join()) continue;
    await file.close();
    const got = entry === undefined ? "missing" : `${entry.dtype} [${entry.shape.join(", ")}]`;
    throw new DataError(`${path}: ${name} is ${got}, not ${dtype} [${shape.join(", ")}]`, {
      hint: "Delete the file and write the latents again.",
    });
  }
  return { file, length };
}

interface Shard {
  /** Number of its first latent. */
  readonly start: number;
  readonly path: string;
  /** First byte of the latents. */
  readonly offset: number;
  readonly labels: Int32Array;
}

/** Opens a folder: every shard is checked, and its labels are read. */
export async function openShardLatents(folder: string, manifest: LatentManifest): Promise<LatentDataset> {
  const { shape, dtype, classes, source, scalingFactor, shiftFactor, weights } = manifest;
  const shards: Shard[] = [];
  const total = channelSums([], shape[0], shape[1] * shape[2]);
  let length = 0;
  for (let i = 0; i < shardCount(manifest); i++) {
    const { file, length: count } = await openShard(folder, manifest, i);
    try {
      const read = async (name: string) => (await file.entries.get(name)?.read())?.data;
      const labels = (await read("labels")) as Int32Array;
      const path = join(folder, shardName(i));
      const wrong = labels.find((label) => label < 0 || label >= classes.length);
      if (wrong !== undefined) throw new DataError(`${path}: the label ${wrong} is none of ${classes.length} classes`);
      addChannelSums(total, {
        sums: (await read("sums")) as Float64Array,
        squares: (await read("squares")) as Float64Array,
      });
      shards.push({ start: length, path, offset: file.entries.get("latents")?.location?.offset ?? 0, labels });
      length += count;
    } finally {
      await file.close();
    }
  }
  const files = shardFiles(folder);
  const size = shape[0] * shape[1] * shape[2];
  const bytes = size * (dtype === "float16" ? 2 : 4);

  async function readOne(index: number): Promise<{ readonly values: Float32Array; readonly label: number }> {
    const shard = shards[shardOf(shards, index)];
    const row = index - (shard?.start ?? 0);
    const label = shard?.labels[row];
    if (shard === undefined || label === undefined)
      throw new DataError(`${folder}: has no latent ${index}, only ${length}`);
    const { path, offset } = shard;
    const buffer = await files.read(path, { offset: offset + row * bytes, size: bytes });
    return { values: tensorFromBytes(dtype, shape, buffer).toFloat32(), label };
  }

  return {
    folder,
    layout: "shards",
    shape,
    length,
    classes,
    source,
    scalingFactor,
    shiftFactor,
    weights,
    read: async (indices) => joinLatents(await Promise.all(Array.from(indices, readOne)), shape),
    statistics: async () => statisticsFrom(total, length, shape[1] * shape[2]),
    close: files.close,
  };
}
