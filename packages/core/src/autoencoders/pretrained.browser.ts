/** The public autoencoder classes for browsers: weights come by fetch, sessions from onnxruntime-web. */
import { type FetchModelOptions, fetchModel } from "../checkpoint/hub/fetch-model.js";
import type { Kind } from "../models/families.js";
import { createEngine, type WebEngineOptions } from "../runtime/create-engine.browser.js";
import { Autoencoder, type ModelParts } from "./autoencoder.js";
import { loadParts, type Platform, type PretrainedOptions } from "./pretrained.js";

export interface WebLoadOptions extends FetchModelOptions, PretrainedOptions, WebEngineOptions {}

const BROWSER: Platform<WebLoadOptions> = {
  open: fetchModel,
  createEngine: (_checkpoint, options) => createEngine(options),
};

/** The Deep Compression Autoencoder. Dispose it when done. */
export class AutoencoderDC extends Autoencoder<"dc-ae"> {
  /**
   * @param idOrUrl a repository of the Hugging Face hub, the URL of a folder or of a `.safetensors` file
   * @throws ConfigError when it is no DC-AE, CheckpointError when the files can't be had or don't fit
   */
  static async fromPretrained(idOrUrl: string, options: WebLoadOptions = {}): Promise<AutoencoderDC> {
    return new AutoencoderDC(await loadParts(BROWSER, idOrUrl, options, "dc-ae"));
  }
}

/** The baseline SD-VAE. Dispose it when done. */
export class AutoencoderKL extends Autoencoder<"sd-vae"> {
  /** As `AutoencoderDC.fromPretrained`, for AutoencoderKL checkpoints. */
  static async fromPretrained(idOrUrl: string, options: WebLoadOptions = {}): Promise<AutoencoderKL> {
    return new AutoencoderKL(await loadParts(BROWSER, idOrUrl, options, "sd-vae"));
  }
}

/** The class of each family. */
const CLASSES: { readonly [K in Kind]: new (parts: ModelParts<K>) => Autoencoder<K> } = {
  "dc-ae": AutoencoderDC,
  "sd-vae": AutoencoderKL,
};

/** Loads an autoencoder of any family; `kind` tells which. */
export async function loadAutoencoder(
  idOrUrl: string,
  options: WebLoadOptions = {},
): Promise<AutoencoderDC | AutoencoderKL> {
  const parts = await loadParts(BROWSER, idOrUrl, options);
  const Class = CLASSES[parts.description.kind] as new (parts: ModelParts) => AutoencoderDC | AutoencoderKL;
  return new Class(parts);
}
