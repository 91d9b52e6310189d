/** The latents of a training; where there are none yet, the error says how to make them. */
import { stat } from "node:fs/promises";
import { DataError } from "@dcae/core";
import { type LatentDataset, openLatents } from "@dcae/diffusion";
import type { DiffusionTraining } from "./schema.js";

/** @throws DataError when they aren't there, or naming the file that is missing, cut off or of another shape */
export async function openTrainingLatents({ data: { path }, command }: DiffusionTraining): Promise<LatentDataset> {
  try {
    return await openLatents(path);
  } catch (error) {
    const isThere = (await stat(path).catch(() => undefined)) !== undefined;
    if (isThere || !(error instanceof DataError)) throw error;
    // Recipes say both commands.
    const [making = ""] = command?.split(" && ") ?? [];
    const how = making.startsWith("dcae latents ") && making.includes(` ${path}`) ? making : "dcae latents";
    throw new DataError(`${path}: there are no latents`, {
      cause: error,
      hint: `Make them with \`${how}\`, or name others with --data.`,
    });
  }
}
