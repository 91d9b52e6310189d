/** The public autoencoder classes for browsers: weights come by fetch, sessions from onnxruntime-web. */
import { type FetchModelOptions, fetchModel } from "../checkpoint/fetch-model.js";
import { ConfigError } from "../errors.js";
import type { ModelDescription } from "../models/model-description.js";
import { createEngine, type WebEngineOptions } from "../runtime/create-engine.browser.js";
import { AutoencoderDCModel, type ModelParts } from "./autoencoder-dc.js";
import { AutoencoderKLModel } from "./autoencoder-kl.js";
import { type CheckpointOptions, checkCheckpoint, chooseModel } from "./check-checkpoint.js";

export interface WebLoadOptions extends FetchModelOptions, CheckpointOptions, WebEngineOptions {
  /** How many programs (one per shape and direction) stay loaded. Default 2. */
  readonly maxPrograms?: number | undefined;
}

type Loaded = { readonly model: ModelDescription } & Omit<ModelParts<unknown>, "config">;

async function load(idOrUrl: string, options: WebLoadOptions): Promise<Loaded> {
  const opened = await fetchModel(idOrUrl, options);
  const described = chooseModel(opened.config, `${idOrUrl} config.json`, options);
  const { model, weights } = checkCheckpoint(opened.weights, described, options.scalingFactor);
  const { scalingFactor, shiftFactor } = model;
  const engine = await createEngine(options);
  return { model, name: idOrUrl, weights, engine, scalingFactor, shiftFactor, maxPrograms: options.maxPrograms };
}

/** The Deep Compression Autoencoder. Dispose it when done. */
export class AutoencoderDC extends AutoencoderDCModel {
  /**
   * @param idOrUrl a repository of the Hugging Face hub, the URL of a folder or of a `.safetensors` file
   * @throws ConfigError when it is no DC-AE, CheckpointError when the files can't be had or don't fit
   */
  static async fromPretrained(idOrUrl: string, options: WebLoadOptions = {}): Promise<AutoencoderDC> {
    const { model, ...parts } = await load(idOrUrl, options);
    if (model.kind !== "dc-ae") throw new ConfigError(`${idOrUrl}: this is an AutoencoderKL (SD-VAE), not a DC-AE`);
    return new AutoencoderDC({ ...parts, config: model.config });
  }
}

/** The baseline SD-VAE. Dispose it when done. */
export class AutoencoderKL extends AutoencoderKLModel {
  /** As `AutoencoderDC.fromPretrained`, for AutoencoderKL checkpoints. */
  static async fromPretrained(idOrUrl: string, options: WebLoadOptions = {}): Promise<AutoencoderKL> {
    const { model, ...parts } = await load(idOrUrl, options);
    if (model.kind !== "sd-vae") throw new ConfigError(`${idOrUrl}: this is a DC-AE, not an AutoencoderKL (SD-VAE)`);
    return new AutoencoderKL({ ...parts, config: model.config });
  }
}
