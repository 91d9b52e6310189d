/** What computing with 8 bits costs a model in quality, and the ranges of its activations, which speed measurements need. */
import { AutoencoderDC, calibrate, psnr, type Tensor, tensorToImage } from "@dcae/core";
import type { ActivationRanges } from "@dcae/core/graph";
import type { BenchQuality } from "./bench-result.js";

/** Pictures [1, 3, H, W] in [-1, 1]. */
export interface Int8Pictures {
  /** What ranges are observed on. */
  readonly calibration: readonly Tensor[];
  /** What quality is measured on: other pictures, all of one square size. */
  readonly test: readonly Tensor[];
}

export interface Int8Measurement {
  readonly ranges: ActivationRanges;
  readonly quality: Omit<BenchQuality, "model" | "trained">;
}

/** @throws ConfigError when the checkpoint is no DC-AE */
export async function measureInt8(
  checkpoint: string,
  pictures: Int8Pictures,
  threads: number,
): Promise<Int8Measurement> {
  const options = { device: "cpu", threads } as const;
  const exact = await AutoencoderDC.fromPretrained(checkpoint, options);
  try {
    const ranges = await calibrate(exact, { pictures: pictures.calibration });
    const int8 = await AutoencoderDC.fromPretrained(checkpoint, {
      ...options,
      dtype: "int8",
      activationRanges: ranges,
    });
    try {
      return { ranges, quality: await compare(exact, int8, pictures.test) };
    } finally {
      await int8.dispose();
    }
  } finally {
    await exact.dispose();
  }
}

async function compare(
  exact: AutoencoderDC,
  int8: AutoencoderDC,
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
