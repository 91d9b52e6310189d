/** The public autoencoder classes for browsers: weights come by fetch, sessions from onnxruntime-web. */
import { checkOptions, type OptionNames } from "../check-options.js";
import { fetchModel } from "../checkpoint/hub/fetch-model.js";
import {
  type ModelSource,
  type OpenedModel,
  WEB_FETCH_OPTIONS,
  type WebFetchOptions,
} from "../checkpoint/opened-model.js";
import { ConfigError } from "../errors.js";
import type { Tensor } from "../graph/tensor.js";
import { decodeImage } from "../image/decode-image.browser.js";
import type { Kind } from "../models/families.js";
import { BUNDLED_MODEL, namedRepository } from "../models/model-description.js";
import { tinyFromUnitRange, tinyToUnitRange } from "../models/tiny/tiny-config.js";
import {
  checkWebEngineWords,
  createEngine,
  NOT_IN_BROWSERS,
  WEB_ENGINE_OPTIONS,
  type WebEngineOptions,
  webEngineOptions,
} from "../runtime/create-engine.browser.js";
import { Autoencoder, type ModelParts } from "./autoencoder.js";
import { loadParts, type Platform, PRETRAINED_OPTIONS, type PretrainedOptions } from "./pretrained.js";

/** Options of `fromPretrained` and `loadAutoencoder` in a browser: downloads, configuration, device. */
export interface WebLoadOptions extends WebFetchOptions, PretrainedOptions, WebEngineOptions {}

/** Opens what a name or URLs stand for. The bundled model's files have the addresses that the page's bundler gives them. */
async function open(source: ModelSource, options: WebFetchOptions): Promise<OpenedModel> {
  if (source !== BUNDLED_MODEL) return fetchModel(source, options, namedRepository);
  throw new ConfigError(`${BUNDLED_MODEL}: in browsers its files are found by their URLs`, {
    hint: `Pass smallF32 instead of the name: import { smallF32 } from "@dcae/core/${BUNDLED_MODEL}".`,
  });
}

const WEB_LOAD_OPTIONS: OptionNames<WebLoadOptions> = {
  ...WEB_FETCH_OPTIONS,
  ...PRETRAINED_OPTIONS,
  ...WEB_ENGINE_OPTIONS,
};

const BROWSER: Platform<WebLoadOptions> = {
  check(options) {
    checkOptions("fromPretrained", options, WEB_LOAD_OPTIONS, NOT_IN_BROWSERS);
    checkWebEngineWords(options);
  },
  open,
  readPicture: (source) => decodeImage(source),
  createEngine: (_checkpoint, options) => createEngine(webEngineOptions(options)),
};

/** The Deep Compression Autoencoder. Dispose it when done. */
export class AutoencoderDC extends Autoencoder<"dc-ae"> {
  /**
   * @param source `smallF32` of `@dcae/core/small-f32`, which the package carries, or the URLs of another model's files; the name of a
   *   published model ("dc-ae-f32c32-in-1.0"); a repository of the Hugging Face hub; the URL of a folder or of a `.safetensors` file; a
   *   chosen `File` of weights
   * @throws ConfigError when it is no DC-AE, CheckpointError when the files can't be had or don't fit
   */
  static async fromPretrained(source: ModelSource, options: WebLoadOptions = {}): Promise<AutoencoderDC> {
    return new AutoencoderDC(await loadParts(BROWSER, source, options, "dc-ae"));
  }
}

/** The baseline SD-VAE. Dispose it when done. */
export class AutoencoderKL extends Autoencoder<"sd-vae"> {
  /** As `AutoencoderDC.fromPretrained`, for AutoencoderKL checkpoints. */
  static async fromPretrained(source: ModelSource, options: WebLoadOptions = {}): Promise<AutoencoderKL> {
    return new AutoencoderKL(await loadParts(BROWSER, source, options, "sd-vae"));
  }
}

/** An SD-VAE with a larger decoder, which can fill in pictures: see `image` and `mask` of `decode`. Dispose it when done. */
export class AsymmetricAutoencoderKL extends Autoencoder<"asymmetric-kl"> {
  /** As `AutoencoderDC.fromPretrained`, for AsymmetricAutoencoderKL checkpoints. */
  static async fromPretrained(source: ModelSource, options: WebLoadOptions = {}): Promise<AsymmetricAutoencoderKL> {
    return new AsymmetricAutoencoderKL(await loadParts(BROWSER, source, options, "asymmetric-kl"));
  }
}

/** A tiny autoencoder (TAESD and its relatives), for previews of the latents of a large one. Dispose it when done. */
export class AutoencoderTiny extends Autoencoder<"tiny"> {
  /** As `AutoencoderDC.fromPretrained`, for AutoencoderTiny checkpoints; the URL may be that of one half's original file. */
  static async fromPretrained(source: ModelSource, options: WebLoadOptions = {}): Promise<AutoencoderTiny> {
    return new AutoencoderTiny(await loadParts(BROWSER, source, options, "tiny"));
  }

  /** Latents [N, L, h, w] as values of pictures, in [0, 1], to keep them in files of 8 bits. diffusers' `scale_latents`. */
  toUnitRange(latent: Tensor): Tensor {
    return tinyToUnitRange(latent, this.config);
  }

  /** The inverse of `toUnitRange`, but for what was clamped. diffusers' `unscale_latents`. */
  fromUnitRange(unit: Tensor): Tensor {
    return tinyFromUnitRange(unit, this.config);
  }
}

/** The class of each family. */
const CLASSES = {
  "dc-ae": AutoencoderDC,
  "sd-vae": AutoencoderKL,
  "asymmetric-kl": AsymmetricAutoencoderKL,
  tiny: AutoencoderTiny,
} satisfies { readonly [K in Kind]: new (parts: ModelParts<K>) => Autoencoder<K> };

/** An autoencoder of any family. */
export type PretrainedAutoencoder = InstanceType<(typeof CLASSES)[Kind]>;

/** Loads an autoencoder of any family; `kind` tells which. */
export async function loadAutoencoder(
  source: ModelSource,
  options: WebLoadOptions = {},
): Promise<PretrainedAutoencoder> {
  const parts = await loadParts(BROWSER, source, options);
  const Class = CLASSES[parts.description.kind] as new (parts: ModelParts) => PretrainedAutoencoder;
  return new Class(parts);
}
