/** A folder of latents, whichever layout it has. */
import type { Tensor } from "@dcae/core/graph";
import type { LatentLayout } from "./latent-manifest.js";
import type { LatentFolderStatistics } from "./latent-statistics.js";

export interface LatentBatch {
  /** float32 [n, C, S, S], as they were written (scaled). */
  readonly latents: Tensor<"float32">;
  /** int32 [n] */
  readonly labels: Tensor<"int32">;
}

export interface LatentDataset {
  /** For messages. */
  readonly folder: string;
  readonly layout: LatentLayout;
  /** Of one latent, [C, S, S]. */
  readonly shape: readonly [number, number, number];
  /** Number of latents. */
  readonly length: number;
  /** Names of the classes; labels are positions in this list. */
  readonly classes: readonly string[];
  /** The autoencoder that made them, as `LatentManifest.source`; null in folders of the reference, which don't say. */
  readonly source: string | null;
  /** What they were multiplied by: they are (z - shiftFactor) * scalingFactor; null where the folder doesn't say. */
  readonly scalingFactor: number | null;
  /** What was subtracted before; null where the folder doesn't say. */
  readonly shiftFactor: number | null;
  /** Fingerprint of the autoencoder's weights; null where the folder doesn't say. */
  readonly weights: string | null;
  /**
   * Latents by number.
   *
   * @throws DataError naming the file that is missing, cut off or of another shape
   */
  read(indices: ArrayLike<number>): Promise<LatentBatch>;
  /** Mean and spread over all latents. */
  statistics(): Promise<LatentFolderStatistics>;
  /** Releases file handles. */
  close(): Promise<void>;
}
