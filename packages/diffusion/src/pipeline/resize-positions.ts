/** A denoiser's weights for latents of another size: everything but the position embedding is the same for any number of tokens. */
import { Tensor } from "@dcae/core";
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import { resizePlanes } from "@dcae/core/image";
import { denoiserParameters } from "../denoisers/denoise.js";
import { type DenoiserConfig, tokenCount } from "../denoisers/denoiser-config.js";

const POSITIONS = "pos_embed";

/**
 * The weights of a network for another `inputSize`. Learned position embeddings are resized as pictures are, by the bicubic filter, as
 * it is usual for vision transformers (Dosovitskiy et al. 2020, section 3.2); those of time and class stay. Fixed ones are left out,
 * to be computed.
 *
 * @param weights under official names, of a network `from`
 * @returns `weights` themselves where the sizes are equal, there is no position embedding, or the networks aren't of one kind
 */
export function weightsAtSize(weights: Weights, from: DenoiserConfig, to: DenoiserConfig): Weights {
  const entry = weights.entries.get(POSITIONS);
  const [tokens, wanted] = [tokenCount(from), tokenCount(to)];
  const [one, rows, width] = entry?.shape ?? [];
  if (entry === undefined || from.arch !== to.arch || tokens === wanted) return weights;
  if (one !== 1 || rows === undefined || width === undefined) return weights;
  const entries = new Map(weights.entries);
  const isComputed = denoiserParameters(to).some(({ name, init }) => name === POSITIONS && init.kind === "computed");
  if (isComputed) entries.delete(POSITIONS);
  else entries.set(POSITIONS, resized(entry, rows - tokens, Math.sqrt(tokens), Math.sqrt(wanted), width));
  return { ...weights, entries };
}

/** @param extras rows of the embedding before those of the grid */
function resized(entry: WeightEntry, extras: number, from: number, to: number, width: number): WeightEntry {
  const shape = [1, extras + to * to, width];
  return {
    name: entry.name,
    dtype: "float32",
    shape,
    async read() {
      const rows = (await entry.read()).toFloat32();
      const grid = rows.subarray(extras * width);
      const planes = new Float32Array(grid.length);
      for (let i = 0; i < grid.length; i++)
        planes[(i % width) * from * from + Math.floor(i / width)] = grid[i] as number;
      const larger = resizePlanes(Tensor.float32(planes, [width, from, from]), to, to).toFloat32();
      const out = new Float32Array((shape[1] as number) * width);
      out.set(rows.subarray(0, extras * width));
      for (let i = 0; i < larger.length; i++)
        out[(extras + (i % (to * to))) * width + Math.floor(i / (to * to))] = larger[i] as number;
      return Tensor.float32(out, shape);
    },
  };
}
