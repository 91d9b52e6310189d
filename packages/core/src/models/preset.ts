/** What is known of a published model, whatever its family. */

/** Multiply-accumulate operations per picture, in units of 10^9: convolutions and attention products only. */
export interface Gmacs {
  readonly encode: number;
  readonly decode: number;
}

export interface PresetBase {
  readonly name: string;
  /** Other names that mean the same model, without owner. */
  readonly aliases: readonly string[];
  /** Repository with the weights on the Hugging Face hub; null where none is known. */
  readonly hubId: string | null;
  /**
   * Diffusion models see `latent * scalingFactor`, and `z / scalingFactor` is decoded; encode and decode themselves never apply
   * it. It is 1 / RMS of the latents over the model's training set: one scalar, with no shift and no statistics per channel.
   * Null where none is published (measure it before training a diffusion model).
   */
  readonly scalingFactor: number | null;
  /** Learnable values. */
  readonly parameters: { readonly encoder: number; readonly decoder: number; readonly total: number };
  /** 10^9 multiply-accumulates per picture, by side in pixels. */
  readonly gmacs: Readonly<Record<256 | 512 | 1024, Gmacs>>;
  /** Results that the authors published for the model. */
  readonly published?: PublishedEvaluation;
}

export interface PublishedEvaluation {
  readonly dataset: string;
  readonly resolution: number;
  readonly psnr: number;
  readonly rFid: number;
  readonly ssim?: number;
  readonly lpips?: number;
  readonly clipIqa?: number;
  readonly latent?: { readonly mean: number; readonly rms: number; readonly std: number };
}
