/** Opens a Keras model of TensorFlow.js from a folder: `model.json` and the shards beside it. */
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CheckpointError } from "../../errors.js";
import { failClosed } from "../../runtime/close-all.js";
import type { ByteSource } from "../byte-source.js";
import { openFileSource, readJson } from "../file-source.node.js";
import { type LayersModel, readLayersModel, shardPaths } from "./layers-model.js";

/** Descriptions of large networks have a few hundred kilobytes. */
const MAX_JSON_BYTES = 64 * 2 ** 20;

/**
 * Opens a Keras model of TensorFlow.js; its weights are read when they are asked for.
 *
 * @param path the folder, or its `model.json` (by whatever name)
 * @throws CheckpointError when a file is missing, damaged, or describes something else
 */
export async function openLayersModel(path: string): Promise<LayersModel> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() === true;
  const file = isFolder ? join(path, "model.json") : path;
  const json = await readJson(file, MAX_JSON_BYTES, CheckpointError);
  const shards: ByteSource[] = [];
  try {
    for (const name of shardPaths(json, file)) shards.push(await openFileSource(join(dirname(file), name)));
    return readLayersModel(json, file, shards);
  } catch (error) {
    return failClosed(
      error,
      shards.map((shard) => () => shard.close()),
    );
  }
}
