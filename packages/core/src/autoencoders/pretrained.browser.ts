/** The public autoencoder classes for browsers: weights come by fetch, sessions from onnxruntime-web. */
import { type FetchModelOptions, fetchModel } from "../checkpoint/hub/fetch-model.js";
import { ConfigError } from "../errors.js";
import type { ModelDescription } from "../models/model-description.js";
import { failClosed } from "../runtime/close-all.js";
import { createEngine, type WebEngineOptions } from "../runtime/create-engine.browser.js";
import { AutoencoderDCModel, type ModelParts } from "./autoencoder-dc.js";
import { AutoencoderKLModel } from "./autoencoder-kl.js";
import { type CheckpointOptions, checkCheckpoint, chooseModel } from "./check-checkpoint.js";

export interface WebLoadOptions extends FetchModelOptions, CheckpointOptions, WebEngineOptions {
  /** How many programs (one per shape and direction) stay loaded. Default 2. */
  readonly maxPrograms?: number | undefined;
}

type Kind = ModelDescription["kind"];
type ConfigOf<K extends Kind> = Extract<ModelDescription, { readonly kind: K }>["config"];

const WRONG_KIND: Readonly<Record<Kind, string>> = {
  "dc-ae": "this is an AutoencoderKL (SD-VAE), not a DC-AE",
  "sd-vae": "this is a DC-AE, not an AutoencoderKL (SD-VAE)",
};

/** Closes what it opened when anything fails. */
async function load<K extends Kind>(
  idOrUrl: string,
  kind: K,
  options: WebLoadOptions,
): Promise<ModelParts<ConfigOf<K>>> {
  const opened = await fetchModel(idOrUrl, options);
  try {
    const described = chooseModel(opened.config, `${idOrUrl} config.json`, options);
    const { model, weights } = checkCheckpoint(opened.weights, described, options.scalingFactor);
    if (model.kind !== kind) throw new ConfigError(`${idOrUrl}: ${WRONG_KIND[kind]}`);
    const { scalingFactor, shiftFactor } = model;
    const config = model.config as ConfigOf<K>;
    const engine = await createEngine(options);
    return { config, name: idOrUrl, weights, engine, scalingFactor, shiftFactor, maxPrograms: options.maxPrograms };
  } catch (error) {
    return failClosed(error, [() => opened.weights.close()]);
  }
}

/** The Deep Compression Autoencoder. Dispose it when done. */
export class AutoencoderDC extends AutoencoderDCModel {
  /**
   * @param idOrUrl a repository of the Hugging Face hub, the URL of a folder or of a `.safetensors` file
   * @throws ConfigError when it is no DC-AE, CheckpointError when the files can't be had or don't fit
   */
  static async fromPretrained(idOrUrl: string, options: WebLoadOptions = {}): Promise<AutoencoderDC> {
    return new AutoencoderDC(await load(idOrUrl, "dc-ae", options));
  }
}

/** The baseline SD-VAE. Dispose it when done. */
export class AutoencoderKL extends AutoencoderKLModel {
  /** As `AutoencoderDC.fromPretrained`, for AutoencoderKL checkpoints. */
  static async fromPretrained(idOrUrl: string, options: WebLoadOptions = {}): Promise<AutoencoderKL> {
    return new AutoencoderKL(await load(idOrUrl, "sd-vae", options));
  }
}
