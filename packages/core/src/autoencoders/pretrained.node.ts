/**
 * The public autoencoder classes for Node: the models of autoencoder-dc.ts and autoencoder-kl.ts, loaded from the hub or
 * a folder, run by onnxruntime-node, saved and exported.
 */
import type { Weights } from "../checkpoint/weights.js";
import { ConfigError } from "../errors.js";
import type { DcAeConfig } from "../models/dc-ae/dc-ae-config.js";
import type { ModelDescription } from "../models/model-description.js";
import { failClosed } from "../runtime/close-all.js";
import { createEngine } from "../runtime/create-engine.node.js";
import type { Engine, EngineOptions } from "../runtime/engine.js";
import { AutoencoderDCModel, type ModelParts } from "./autoencoder-dc.js";
import { AutoencoderKLModel } from "./autoencoder-kl.js";
import { type CalibrationOptions, calibrate } from "./calibrate.js";
import type { Checkpoint } from "./check-checkpoint.js";
import { type ExportedPart, type ExportOptions, exportOnnx } from "./export-onnx.node.js";
import { keepRanges } from "./kept-ranges.node.js";
import { type OpenOptions, openCheckpoint } from "./open-checkpoint.node.js";
import { type SaveOptions, saveCheckpoint } from "./save-checkpoint.node.js";

export interface LoadOptions extends OpenOptions, EngineOptions {
  /**
   * DC-AE with dtype int8: the pictures on which the ranges of activations are observed, which takes a run of encoder and
   * decoder in float32 for each. With a `programCache` they are kept there; with `activationRanges` they are known.
   */
  readonly calibration?: CalibrationOptions | undefined;
  /** How many programs (one per shape and direction) stay loaded. Default 2: one encoder and one decoder. */
  readonly maxPrograms?: number | undefined;
}

/** The Deep Compression Autoencoder. Dispose it when done: it owns a worker thread and the model's memory. */
export class AutoencoderDC extends AutoencoderDCModel {
  readonly #description: ModelDescription;

  private constructor(parts: ModelParts<AutoencoderDCModel["config"]>, description: ModelDescription) {
    super(parts);
    this.#description = description;
  }

  /**
   * Loads a model and starts its engine.
   *
   * @param idOrPath a repository of the Hugging Face hub (official or `-diffusers` layout), a folder, or a weight file;
   *   folders and files need no network
   * @throws ConfigError when it is no DC-AE, CheckpointError when the weights don't fit, EngineError when the device can't
   *   be used, DataError when files can't be had
   */
  static async fromPretrained(idOrPath: string, options: LoadOptions = {}): Promise<AutoencoderDC> {
    return AutoencoderDC.fromCheckpoint(await openCheckpoint(idOrPath, options), idOrPath, options);
  }

  /** @internal */
  static async fromCheckpoint(checkpoint: Checkpoint, name: string, options: LoadOptions): Promise<AutoencoderDC> {
    const { model, weights } = checkpoint;
    if (model.kind !== "dc-ae") {
      const error = new ConfigError(`${name}: this is an AutoencoderKL (SD-VAE), not a DC-AE`, {
        hint: "Load it with AutoencoderKL.fromPretrained.",
      });
      return failClosed(error, [() => weights.close()]);
    }
    const parts = await assemble(checkpoint, name, model.config, options, () =>
      withActivationRanges({ config: model.config, weights }, options),
    );
    return new AutoencoderDC(parts, model);
  }

  /** Saves configuration and weights; `fromPretrained(directory)` loads them again. */
  savePretrained(directory: string, options: SaveOptions = {}): Promise<void> {
    return saveCheckpoint(this.#description, this.weights, directory, options);
  }

  /** Writes `encoder.onnx` and `decoder.onnx` with dynamic batch, height and width (see `exportOnnx`). */
  export(directory: string, options: ExportOptions = {}): Promise<ExportedPart[]> {
    return exportOnnx(this, directory, options);
  }
}

/** The baseline SD-VAE. Dispose it when done. */
export class AutoencoderKL extends AutoencoderKLModel {
  readonly #description: ModelDescription;

  private constructor(parts: ModelParts<AutoencoderKLModel["config"]>, description: ModelDescription) {
    super(parts);
    this.#description = description;
  }

  /** As `AutoencoderDC.fromPretrained`, for AutoencoderKL checkpoints (diffusers, 2022 names included, and LDM). */
  static async fromPretrained(idOrPath: string, options: LoadOptions = {}): Promise<AutoencoderKL> {
    return AutoencoderKL.fromCheckpoint(await openCheckpoint(idOrPath, options), idOrPath, options);
  }

  /** @internal */
  static async fromCheckpoint(checkpoint: Checkpoint, name: string, options: LoadOptions): Promise<AutoencoderKL> {
    const { model, weights } = checkpoint;
    if (model.kind !== "sd-vae") {
      const error = new ConfigError(`${name}: this is a DC-AE, not an AutoencoderKL (SD-VAE)`, {
        hint: "Load it with AutoencoderDC.fromPretrained.",
      });
      return failClosed(error, [() => weights.close()]);
    }
    const parts = await assemble(checkpoint, name, model.config, options, async () => {
      if (options.dtype === "int8") throw new ConfigError(`${name}: dtype int8 is for DC-AE, this is an SD-VAE`);
      return options;
    });
    return new AutoencoderKL(parts, model);
  }

  savePretrained(directory: string, options: SaveOptions = {}): Promise<void> {
    return saveCheckpoint(this.#description, this.weights, directory, options);
  }

  export(directory: string, options: ExportOptions = {}): Promise<ExportedPart[]> {
    return exportOnnx(this, directory, options);
  }
}

/** Loads whichever of the two autoencoders a checkpoint holds; `kind` tells them apart. */
export async function loadAutoencoder(
  idOrPath: string,
  options: LoadOptions = {},
): Promise<AutoencoderDC | AutoencoderKL> {
  const checkpoint = await openCheckpoint(idOrPath, options);
  return checkpoint.model.kind === "dc-ae"
    ? AutoencoderDC.fromCheckpoint(checkpoint, idOrPath, options)
    : AutoencoderKL.fromCheckpoint(checkpoint, idOrPath, options);
}

/** The options of the engine; with int8, the ranges of activations are found where they aren't given. */
async function withActivationRanges(
  { config, weights }: { readonly config: DcAeConfig; readonly weights: Weights },
  options: LoadOptions,
): Promise<EngineOptions> {
  const { calibration, activationRanges, dtype, device = "auto", threads, programCache } = options;
  if (calibration !== undefined && (dtype !== "int8" || activationRanges !== undefined)) {
    const why = dtype === "int8" ? "beside activationRanges" : `with dtype ${dtype ?? "float32"}`;
    throw new ConfigError(`calibration: it has no effect ${why}`);
  }
  // Elsewhere int8 is refused by the engine, before work begins.
  if (dtype !== "int8" || activationRanges !== undefined || (device !== "auto" && device !== "cpu")) return options;
  if (calibration === undefined) {
    throw new ConfigError("dtype int8: the ranges of the model's activations aren't known", {
      hint: "Give calibration: { pictures }, a few pictures on which to observe them, or the activationRanges that calibrate() found.",
    });
  }
  const { pictures } = calibration;
  const observe = async () => {
    const engine = await createEngine({
      device: "cpu",
      packWeights: false,
      ...(threads === undefined ? {} : { threads }),
    });
    try {
      return await calibrate({ config, weights, engine }, calibration);
    } finally {
      await engine.dispose();
    }
  };
  const ranges =
    programCache === undefined
      ? await observe()
      : await keepRanges(programCache, { config, weights, pictures }, observe);
  return { ...options, activationRanges: ranges };
}

async function assemble<Config>(
  { model, weights }: Checkpoint,
  name: string,
  config: Config,
  options: LoadOptions,
  engineOptions: () => Promise<EngineOptions>,
): Promise<ModelParts<Config>> {
  let engine: Engine;
  try {
    // Checkpoints are large and pictures few: a second copy of the weights rarely pays.
    engine = await createEngine({ packWeights: false, ...(await engineOptions()) });
  } catch (error) {
    return failClosed(error, [() => weights.close()]);
  }
  const { scalingFactor, shiftFactor } = model;
  return { name, config, weights, engine, scalingFactor, shiftFactor, maxPrograms: options.maxPrograms };
}
