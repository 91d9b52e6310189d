/** Geometry of blended tiles (dcae.md section 9): what each pass over the tiles takes, and what it keeps. */

/** Size of tiles and distance between their starts, as [vertical, horizontal], in pixels of the picture. */
export interface TilingOptions {
  readonly tile: readonly [number, number];
  readonly stride: readonly [number, number];
}

/** One pass over tiles: geometry of the input, and of what is kept of each output. */
export interface BlendedPass {
  readonly tile: readonly [number, number];
  readonly stride: readonly [number, number];
  /** Width of the blended seam in the output. */
  readonly blend: readonly [number, number];
  /** How much of each output tile is kept (less at the far border). */
  readonly keep: readonly [number, number];
}

export interface BlendedTiles {
  /** From pixels to latent positions. */
  readonly encode: BlendedPass;
  /** From latent positions to pixels. */
  readonly decode: BlendedPass;
}

/** @param compression pixels per latent position */
export function blendedTiles({ tile, stride }: TilingOptions, compression: number): BlendedTiles {
  const inLatent = ([vertical, horizontal]: readonly [number, number]) =>
    [Math.floor(vertical / compression), Math.floor(horizontal / compression)] as const;
  const overlap = (a: readonly [number, number], b: readonly [number, number]) => [a[0] - b[0], a[1] - b[1]] as const;
  const [latentTile, latentStride] = [inLatent(tile), inLatent(stride)];
  return {
    encode: { tile, stride, blend: overlap(latentTile, latentStride), keep: latentStride },
    decode: { tile: latentTile, stride: latentStride, blend: overlap(tile, stride), keep: stride },
  };
}
