/** What computing with 8 bits costs a model in quality, and the ranges of its activations, which speed measurements need. */
import { AutoencoderDC, calibrate, drawScene, imageToTensor, psnr, tensorToImage } from "@dcae/core";
import type { ActivationRanges } from "@dcae/core/graph";
import type { BenchQuality } from "./bench-result.js";

/** Pictures of other seeds and classes than those that ranges are observed on. */
const SCENES = ["dunes", "forest", "pebbles", "still-life"] as const;
const SIZE = 256;
const FIRST_SEED = 1000;

export interface Int8Measurement {
  readonly ranges: ActivationRanges;
  readonly quality: Omit<BenchQuality, "model" | "trained">;
}

/** @throws ConfigError when the checkpoint is no DC-AE */
export async function measureInt8(checkpoint: string, threads: number): Promise<Int8Measurement> {
  const options = { device: "cpu", threads } as const;
  const exact = await AutoencoderDC.fromPretrained(checkpoint, options);
  try {
    const ranges = await calibrate(exact);
    const int8 = await AutoencoderDC.fromPretrained(checkpoint, {
      ...options,
      dtype: "int8",
      activationRanges: ranges,
    });
    try {
      return { ranges, quality: await compare(exact, int8) };
    } finally {
      await int8.dispose();
    }
  } finally {
    await exact.dispose();
  }
}

async function compare(exact: AutoencoderDC, int8: AutoencoderDC): Promise<Int8Measurement["quality"]> {
  const values = { psnr: 0, psnrFloat32: 0, psnrBetween: 0 };
  for (const [i, kind] of SCENES.entries()) {
    const x = imageToTensor(drawScene({ width: SIZE, height: SIZE, seed: FIRST_SEED + i, kind }));
    const original = tensorToImage(x);
    const whole = tensorToImage(await exact.reconstruct(x));
    const rounded = tensorToImage(await int8.reconstruct(x));
    values.psnr += psnr(original, rounded) / SCENES.length;
    values.psnrFloat32 += psnr(original, whole) / SCENES.length;
    values.psnrBetween += psnr(whole, rounded) / SCENES.length;
  }
  return { dtype: "int8", pictures: SCENES.length, size: SIZE, ...values };
}
