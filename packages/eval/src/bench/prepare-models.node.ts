/**
 * The models of a benchmark. One that is given by a preset's name gets fresh random weights, since speed doesn't depend on what
 * they are; they are written once, so that every measurement maps a file as real use does. For computing with 8 bits, what it costs
 * a model in quality, and the ranges of its activations, which speed measurements need.
 */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, getPreset, loadAutoencoder, psnr, type Tensor, tensorToImage } from "@dcae/core";
import { initialWeights } from "@dcae/core/checkpoint";
import type { ActivationRanges } from "@dcae/core/graph";
import { type Autoencoder, BUNDLED_MODEL, calibrate, saveCheckpoint } from "@dcae/core/internal";
import { describePreset, findPreset, modelParameters } from "@dcae/core/models";
import type { BenchQuality } from "./bench-result.js";

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * The checkpoint of a model: what lies under this path, or random weights of the preset of this name, which are written
 * below `folder` unless an earlier run did. "small-f32", which comes with @dcae/core, is itself.
 *
 * @throws ConfigError for a name that is neither a preset's nor a path's
 */
export async function prepareCheckpoint(model: string, folder: string): Promise<string> {
  if (model === BUNDLED_MODEL || (await exists(model))) return model;
  if (!/[/\\]/.test(model)) getPreset(model);
  const preset = findPreset(model);
  if (preset === undefined || /[/\\]/.test(model)) {
    throw new ConfigError(`${model}: there is no such checkpoint here`, {
      hint:
        preset === undefined
          ? "Give a folder or file with weights, or the plain name of a published model."
          : `Give its plain name, ${preset.name}, for random weights, or a local folder.`,
    });
  }
  const path = join(folder, preset.name);
  // Checkpoints take their name when they are complete.
  if (await exists(join(path, "config.json"))) return path;
  const description = describePreset(preset);
  await saveCheckpoint(description, initialWeights(modelParameters(description), 0), path);
  return path;
}

/** Pictures [1, 3, H, W] in [-1, 1]. */
export interface Int8Pictures {
  /** What ranges are observed on. */
  readonly calibration: readonly Tensor[];
  /** What quality is measured on: other pictures, all of one square size. */
  readonly test: readonly Tensor[];
  /** What the test pictures are, for the result, as in "drawn scenes" or a folder's name. */
  readonly source?: string;
}

export interface Int8Measurement {
  readonly ranges: ActivationRanges;
  readonly quality: Omit<BenchQuality, "model" | "trained">;
}

/** @throws what `loadAutoencoder` and `calibrate` throw */
export async function measureInt8(
  checkpoint: string,
  pictures: Int8Pictures,
  threads: number,
): Promise<Int8Measurement> {
  const options = { device: "cpu", threads } as const;
  const exact = await loadAutoencoder(checkpoint, options);
  try {
    const ranges = await calibrate(exact, { pictures: pictures.calibration });
    const int8 = await loadAutoencoder(checkpoint, { ...options, form: { kind: "int8", ranges } });
    try {
      const { test, source } = pictures;
      return { ranges, quality: { ...(await compare(exact, int8, test)), ...(source !== undefined && { source }) } };
    } finally {
      await int8.dispose();
    }
  } finally {
    await exact.dispose();
  }
}

async function compare(
  exact: Autoencoder,
  int8: Autoencoder,
  pictures: readonly Tensor[],
): Promise<Int8Measurement["quality"]> {
  const values = { psnr: 0, psnrFloat32: 0, psnrBetween: 0 };
  for (const x of pictures) {
    const original = tensorToImage(x);
    const whole = tensorToImage(await exact.reconstruct(x));
    const rounded = tensorToImage(await int8.reconstruct(x));
    values.psnr += psnr(original, rounded) / pictures.length;
    values.psnrFloat32 += psnr(original, whole) / pictures.length;
    values.psnrBetween += psnr(whole, rounded) / pictures.length;
  }
  return { dtype: "int8", pictures: pictures.length, size: pictures[0]?.shape.at(-1) ?? 0, ...values };
}
