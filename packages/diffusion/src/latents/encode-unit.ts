/** The latents of one unit of work, batch by batch, with what could not be read. */
import { DataError, ShapeError } from "@dcae/core";
import type { Tensor } from "@dcae/core/graph";
import { type LatentItem, type LatentManifest, unitItems } from "./latent-manifest.js";
import type { SkippedPictures } from "./skipped-pictures.node.js";

/** Latents of those pictures that could be read. */
export interface EncodedItems {
  /** Of the items that aren't skipped, in their order: [items, C, S, S], already scaled. */
  readonly latents: Tensor;
  /** Why pictures are left out, by `<class>/<name>`; only where `skipErrors` allows it. */
  readonly skipped: SkippedPictures;
}

/** Latents of some pictures, [items, C, S, S], already scaled; or those of the readable ones. */
export type EncodeItems = (items: readonly LatentItem[]) => Promise<Tensor | EncodedItems>;

export interface EncodeUnitOptions {
  /** Latents per call of `encode`. */
  readonly batchSize: number;
  /** Whether pictures may be left out. */
  readonly skipErrors: boolean;
  /** Stops between two batches. */
  readonly signal?: AbortSignal | undefined;
}

export interface EncodedUnit {
  /** What is there, in the unit's order. */
  readonly items: readonly LatentItem[];
  /** Their latents, one after the other. */
  readonly values: Float32Array;
  readonly skipped: SkippedPictures;
}

/**
 * @throws ShapeError when `encode` gives something else than promised, DataError for latents that aren't finite and for pictures
 *   that were left out though they mustn't be
 */
export async function encodeUnit(
  manifest: LatentManifest,
  unit: number,
  encode: EncodeItems,
  { batchSize, skipErrors, signal }: EncodeUnitOptions,
): Promise<EncodedUnit> {
  const items = unitItems(manifest, unit);
  const size = manifest.shape[0] * manifest.shape[1] * manifest.shape[2];
  const skipped = new Map<string, string>();
  const rows: { readonly item: LatentItem; readonly values: Float32Array }[] = [];
  for (let at = 0; at < items.length; at += batchSize) {
    signal?.throwIfAborted();
    const batch = items.slice(at, at + batchSize);
    const encoded = await encode(batch);
    const { latents, skipped: left } = "latents" in encoded ? encoded : { latents: encoded, skipped: new Map() };
    for (const [picture, reason] of left) {
      if (!skipErrors) throw new DataError(`writeLatents: ${picture} was left out: ${reason}`);
      skipped.set(picture, reason);
    }
    const present = batch.filter(({ picture }) => !left.has(picture));
    checkLatents(latents, [present.length, ...manifest.shape], batch[0]?.picture ?? "");
    const values = latents.toFloat32();
    rows.push(...present.map((item, i) => ({ item, values: values.subarray(i * size, (i + 1) * size) })));
  }
  // A picture and its mirror image may come in two batches, and only one of them be read.
  const kept = rows.filter(({ item }) => !skipped.has(item.picture));
  const values = new Float32Array(kept.length * size);
  for (const [i, row] of kept.entries()) values.set(row.values, i * size);
  return { items: kept.map(({ item }) => item), values, skipped };
}

function checkLatents(latents: Tensor, expected: readonly number[], picture: string): void {
  if (latents.shape.join() !== expected.join()) {
    throw new ShapeError(
      `writeLatents: encode gave [${latents.shape.join(", ")}] for the batch at ${picture}, not [${expected.join(", ")}]`,
    );
  }
  if (latents.toFloat32().some((value) => !Number.isFinite(value))) {
    throw new DataError(`writeLatents: a latent of the batch at ${picture} isn't finite`);
  }
}
