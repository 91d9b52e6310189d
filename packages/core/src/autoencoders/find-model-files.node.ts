/** Finds configuration and weights in a folder, by the names that published repositories use. */
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorCode, fileError } from "../checkpoint/file-error.node.js";
import { CheckpointError } from "../errors.js";

/** Weight files of a repository, the preferred first. */
export const WEIGHT_FILES = [
  "model.safetensors",
  "model.safetensors.index.json",
  "diffusion_pytorch_model.safetensors",
  "diffusion_pytorch_model.safetensors.index.json",
] as const;
export const CONFIG_FILE = "config.json";

export interface ModelFiles {
  readonly config: string | undefined;
  /** A safetensors file or the index of shards. */
  readonly weights: string;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw fileError(error, path, "read");
  }
}

/**
 * The files of the model at `path`, a folder or a weight file (whose folder may have a config.json).
 *
 * @throws CheckpointError when there is no weight file, or more than one candidate
 */
export async function findModelFiles(path: string): Promise<ModelFiles> {
  const single = await isFile(path);
  const folder = single ? dirname(path) : path;
  const config = join(folder, CONFIG_FILE);
  const present = [];
  for (const name of WEIGHT_FILES) if (!single && (await isFile(join(folder, name)))) present.push(join(folder, name));
  const [weights, other] = single ? [path] : present;
  if (weights === undefined) {
    throw new CheckpointError(`${path}: there are no weights in this folder`, {
      hint: `Expected one of ${WEIGHT_FILES.join(", ")}.`,
    });
  }
  if (other !== undefined) {
    throw new CheckpointError(`${path}: both ${weights} and ${other} are there`, {
      hint: "Pass the path of the file that you mean.",
    });
  }
  return { config: (await isFile(config)) ? config : undefined, weights };
}
