/** What a folder of latents will hold: the manifest that follows from pictures, model and options. */
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { familyOf } from "@dcae/core/models";
import { type LatentLayout, type LatentManifest, MANIFEST_NAME, parseManifest } from "@dcae/diffusion";
import { weightsFingerprint } from "@dcae/eval";
import type { CliIo } from "../cli-io.js";
import type { Codec } from "../codec.js";
import type { EngineFlags, Model } from "../options/engine-options.js";
import type { ModelFlags } from "../options/model-options.js";
import type { Part } from "../options/parse-values.js";
import { UsageError } from "../usage-error.js";
import { measureScalingFactor, type OnUnreadable } from "./encode-pictures.js";
import { type PictureSet, SYNTHETIC } from "./picture-set.js";

export interface LatentsFlags extends ModelFlags, EngineFlags {
  readonly data: string;
  readonly out: string;
  readonly size: number;
  readonly layout: LatentLayout;
  readonly latentDtype: LatentManifest["dtype"];
  readonly shardSize: number;
  readonly flips?: boolean;
  readonly scalingFactor?: number | "measure";
  readonly shiftFactor?: number;
  readonly latentChannels?: number;
  readonly count?: number;
  readonly seed?: bigint;
  readonly shard?: Part;
  readonly batchSize: number;
  readonly skipErrors?: boolean;
  readonly json?: boolean;
}

/** @throws UsageError for options without effect, and a size that the model can't take */
export function checkLatentsFlags({ data, count, seed, size, skipErrors }: LatentsFlags, model?: Model): void {
  const synthetic = data === SYNTHETIC;
  if (synthetic && skipErrors === true) throw new UsageError(`--skip-errors has no effect on --data ${SYNTHETIC}`);
  if (synthetic && count === undefined) {
    throw new UsageError(`--data ${SYNTHETIC} needs --count, the number of scenes`);
  }
  if (!synthetic && count !== undefined) {
    throw new UsageError(`--count has no effect on ${data}: it is for --data ${SYNTHETIC}`);
  }
  if (model === undefined) return;
  if (seed !== undefined && !synthetic && !familyOf(model.description).latent.isRandom) {
    throw new UsageError(`--seed has no effect: ${model.name} encodes without noise`);
  }
  if (size % model.compression !== 0) {
    throw new UsageError(`--size ${size}: must be a multiple of ${model.compression}, the model's compression`);
  }
}

/**
 * The manifest of what will be written. A factor that is to be measured is that of the folder, if it was begun already.
 *
 * @throws UsageError where no scaling factor is known
 */
export async function describeLatents(
  model: Model,
  codec: Codec,
  pictures: PictureSet,
  flags: LatentsFlags,
  onUnreadable: OnUnreadable,
  io: CliIo,
): Promise<LatentManifest> {
  const { size, layout, latentDtype, flips = false, shardSize, latentChannels } = flags;
  const side = size / model.compression;
  return {
    layout,
    shape: [latentChannels ?? model.config.latentChannels, side, side],
    dtype: latentDtype,
    classes: pictures.classes,
    pictures: pictures.names,
    mirrored: flips,
    shardSize,
    // A path means the same from everywhere only if it is absolute.
    source: await stat(flags.model).then(
      () => resolve(flags.model),
      () => flags.model,
    ),
    scalingFactor: await chooseFactor(model, codec, pictures, flags, onUnreadable, io),
    shiftFactor: model.shiftFactor,
    files: await pictures.files(),
    decoding: pictures.decoding,
    seed: usesSeed(model, flags) ? String(flags.seed ?? 0n) : null,
    weights: await weightsFingerprint(model.weights),
  };
}

/** Whether anything is drawn at random: scenes, or the noise of an SD-VAE. */
function usesSeed(model: Model, { data }: LatentsFlags): boolean {
  return data === SYNTHETIC || familyOf(model.description).latent.isRandom;
}

async function chooseFactor(
  model: Model,
  codec: Codec,
  pictures: PictureSet,
  { scalingFactor = model.scalingFactor ?? undefined, out, size, batchSize }: LatentsFlags,
  onUnreadable: OnUnreadable,
  io: CliIo,
): Promise<number> {
  if (scalingFactor === undefined) {
    throw new UsageError(`no scaling factor is known for ${model.name}`, {
      hint: "Give it with --scaling-factor, or --scaling-factor measure.",
    });
  }
  if (scalingFactor !== "measure") return scalingFactor;
  const begun = await begunManifest(out);
  if (begun !== undefined) return begun.scalingFactor;
  return measureScalingFactor(codec, pictures, {
    shift: model.shiftFactor,
    size,
    batchSize,
    onUnreadable,
    onBatch(done, total) {
      io.signal.throwIfAborted();
      io.progress.show({ label: "measure", done, total });
    },
  });
}

/** The manifest that an earlier run or another process wrote into the folder. */
async function begunManifest(folder: string): Promise<LatentManifest | undefined> {
  const path = join(folder, MANIFEST_NAME);
  const bytes = await readFile(path).catch(() => undefined);
  return bytes === undefined ? undefined : parseManifest(bytes, path);
}
