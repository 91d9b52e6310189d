/**
 * The public autoencoder classes for Node: the autoencoder of autoencoder.ts, loaded from the hub or a folder, run by
 * onnxruntime-node, saved and exported.
 */
import { checkOptions, type OptionNames } from "../check-options.js";
import type { ModelSource } from "../checkpoint/opened-model.js";
import { ConfigError } from "../errors.js";
import type { Tensor } from "../graph/tensor.js";
import { decodeImage } from "../image/decode-image.node.js";
import type { Kind } from "../models/families.js";
import type { ModelDescription } from "../models/model-description.js";
import { tinyFromUnitRange, tinyToUnitRange } from "../models/tiny/tiny-config.js";
import { checkDevice, chooseForm, type Form, type FormWords } from "../runtime/compile.js";
import { checkEngineWords, createEngine, ENGINE_OPTIONS } from "../runtime/create-engine.node.js";
import type { EngineOptions } from "../runtime/engine.js";
import { Autoencoder, type ModelParts } from "./autoencoder.js";
import { type CalibrationOptions, calibrate, keepRanges } from "./calibrate.node.js";
import { OPEN_OPTIONS, type OpenOptions, openFiles, type SaveOptions, saveCheckpoint } from "./checkpoint.node.js";
import { type ExportedPart, type ExportOptions, exportOnnx } from "./export-onnx.node.js";
import { type Checkpoint, loadParts, type Platform, PRETRAINED_OPTIONS, type PretrainedOptions } from "./pretrained.js";

/** The form of a model: with int8, the ranges that it needs may be observed when the model is loaded. */
export type ModelForm = Form | { readonly kind: "int8"; readonly calibration: CalibrationOptions };

/** What users say about the form of a model. */
export interface ModelFormWords extends Omit<FormWords, "form"> {
  /** The form itself, instead of `dtype`, `optimize` and `calibration`. */
  readonly form?: ModelForm;
  /**
   * With dtype int8: the pictures on which the ranges of activations are observed, which takes a run of encoder and decoder in
   * float32 for each. With a `programCache` they are kept there; where they are known already, give `form` instead.
   */
  readonly calibration?: CalibrationOptions | undefined;
}

/** Options of `fromPretrained` and `loadAutoencoder` in Node: the hub and its cache, configuration, device, type. */
export interface LoadOptions extends OpenOptions, PretrainedOptions, Omit<EngineOptions, "form">, ModelFormWords {}

const LOAD_OPTIONS: OptionNames<LoadOptions> = {
  ...OPEN_OPTIONS,
  ...PRETRAINED_OPTIONS,
  ...ENGINE_OPTIONS,
  calibration: true,
};

const NODE: Platform<LoadOptions> = {
  check(options) {
    checkOptions("fromPretrained", options, LOAD_OPTIONS);
    checkEngineWords(options);
    chooseModelForm(options);
  },
  open: openFiles,
  readPicture: (source) => decodeImage(source),
  async createEngine(checkpoint, options) {
    const { device, threads, programCache } = options;
    return createEngine({
      form: await formOf(checkpoint, options),
      ...(device === undefined ? {} : { device }),
      ...(threads === undefined ? {} : { threads }),
      ...(programCache === undefined ? {} : { programCache }),
    });
  },
};

/** What autoencoders can do in Node besides. */
export class NodeAutoencoder<K extends Kind = Kind> extends Autoencoder<K> {
  /** Saves configuration and weights; `fromPretrained(directory)` loads them again. */
  savePretrained(directory: string, options: SaveOptions = {}): Promise<void> {
    return saveCheckpoint(this.description as ModelDescription, this.weights, directory, options);
  }

  /** Writes `encoder.onnx` and `decoder.onnx` with dynamic batch, height and width (see `exportOnnx`). */
  export(directory: string, options: ExportOptions = {}): Promise<ExportedPart[]> {
    return exportOnnx(this as unknown as Autoencoder, directory, options);
  }
}

/**
 * The Deep Compression Autoencoder. Dispose it when done: it owns a worker thread and the model's memory.
 *
 * @example
 * ```ts
 * import { AutoencoderDC, saveImage } from "@dcae/core";
 *
 * const ae = await AutoencoderDC.fromPretrained("small-f32"); // comes with the package
 * const latent = await ae.encode("cat.jpg"); // Tensor [1, 32, 8, 8] of a picture of 256x256
 * await saveImage(await ae.decode(latent), "cat-decoded.png");
 * await ae.dispose();
 * ```
 */
export class AutoencoderDC extends NodeAutoencoder<"dc-ae"> {
  /**
   * Loads a model and starts its engine.
   *
   * @param source "small-f32", which the package carries; the name of a published model ("dc-ae-f32c32-in-1.0"); a repository of the
   *   Hugging Face hub (official or `-diffusers` layout); a folder or a weight file; or the URLs of a model's files. Only published
   *   models need a network, when they are loaded first
   * @throws ConfigError when it is no DC-AE, CheckpointError when the weights don't fit, EngineError when the device can't
   *   be used, DataError when files can't be had
   */
  static async fromPretrained(source: ModelSource, options: LoadOptions = {}): Promise<AutoencoderDC> {
    return new AutoencoderDC(await loadParts(NODE, source, options, "dc-ae"));
  }
}

/**
 * The baseline SD-VAE. Dispose it when done.
 *
 * @example
 * ```ts no-run
 * import { AutoencoderKL } from "@dcae/core";
 *
 * const vae = await AutoencoderKL.fromPretrained("stabilityai/sd-vae-ft-mse"); // 330 MB at first use
 * const { mean, sample } = await vae.encode("cat.jpg");
 * const picture = await vae.decode(sample(0)); // or `mean`
 * ```
 */
export class AutoencoderKL extends NodeAutoencoder<"sd-vae"> {
  /** As `AutoencoderDC.fromPretrained`, for AutoencoderKL checkpoints (diffusers, 2022 names included, and LDM). */
  static async fromPretrained(source: ModelSource, options: LoadOptions = {}): Promise<AutoencoderKL> {
    return new AutoencoderKL(await loadParts(NODE, source, options, "sd-vae"));
  }
}

/**
 * An SD-VAE with a larger decoder, which can fill in pictures: what the mask leaves of a picture goes to the decoder besides the
 * latent. It encodes as Stable Diffusion 1 does. Dispose it when done.
 *
 * @example
 * ```ts no-run
 * import { AsymmetricAutoencoderKL, saveImage } from "@dcae/core";
 *
 * const vae = await AsymmetricAutoencoderKL.fromPretrained("cross-attention/asymmetric-autoencoder-kl-x-1-5");
 * const latent = await vae.encodeLatent("cat.jpg"); // or what an inpainting model made of it
 * await saveImage(await vae.decode(latent), "decoded.png");
 * await saveImage(await vae.decode(latent, { image: "cat.jpg", mask: "mask.png" }), "filled-in.png");
 * ```
 */
export class AsymmetricAutoencoderKL extends NodeAutoencoder<"asymmetric-kl"> {
  /** As `AutoencoderDC.fromPretrained`, for AsymmetricAutoencoderKL checkpoints (diffusers, and the authors' own names). */
  static async fromPretrained(source: ModelSource, options: LoadOptions = {}): Promise<AsymmetricAutoencoderKL> {
    return new AsymmetricAutoencoderKL(await loadParts(NODE, source, options, "asymmetric-kl"));
  }
}

/**
 * A tiny autoencoder (TAESD and its relatives), for previews of the latents of a large one. Dispose it when done.
 *
 * @example
 * ```ts no-run
 * import { AutoencoderTiny, saveImage, Tensor } from "@dcae/core";
 *
 * const preview = await AutoencoderTiny.fromPretrained("madebyollin/taef1");
 * const latent = Tensor.zeros([1, 16, 64, 64]); // of a FLUX model, while it samples
 * await saveImage(await preview.decode(latent), "preview.png");
 * ```
 */
export class AutoencoderTiny extends NodeAutoencoder<"tiny"> {
  /**
   * As `AutoencoderDC.fromPretrained`, for AutoencoderTiny checkpoints (diffusers) and the original files.
   *
   * @param source besides: an original file (`taesd_decoder.pth`), which holds one half, or what stands before `_encoder` and
   *   `_decoder` in the names of two (`models/taesd`)
   */
  static async fromPretrained(source: ModelSource, options: LoadOptions = {}): Promise<AutoencoderTiny> {
    return new AutoencoderTiny(await loadParts(NODE, source, options, "tiny"));
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
} satisfies { readonly [K in Kind]: new (parts: ModelParts<K>) => NodeAutoencoder<K> };

/** An autoencoder of any family. */
export type PretrainedAutoencoder = InstanceType<(typeof CLASSES)[Kind]>;

/**
 * Loads the autoencoder that a checkpoint holds, of any family; `kind` tells which.
 *
 * @example
 * ```ts
 * import { loadAutoencoder } from "@dcae/core";
 *
 * const model = await loadAutoencoder("small-f32"); // any family, by its files
 * console.log(model.kind, model.compression, model.latentChannels); // dc-ae 32 32
 * await model.dispose();
 * ```
 */
export async function loadAutoencoder(source: ModelSource, options: LoadOptions = {}): Promise<PretrainedAutoencoder> {
  const parts = await loadParts(NODE, source, options);
  const Class = CLASSES[parts.description.kind] as new (parts: ModelParts) => PretrainedAutoencoder;
  return new Class(parts);
}

/**
 * The form that a user's words mean for a model.
 *
 * @throws ConfigError for words that contradict each other
 */
export function chooseModelForm({ calibration, form, ...words }: ModelFormWords): ModelForm {
  const { dtype, optimize, device = "auto" } = words;
  if (calibration !== undefined && (dtype !== "int8" || form !== undefined)) {
    const why = form === undefined ? `with dtype ${dtype ?? "float32"}` : "beside form";
    throw new ConfigError(`calibration: it has no effect ${why}`, { hint: "It is for dtype int8." });
  }
  if (dtype === "int8" && form === undefined && optimize !== true) {
    checkDevice({ kind: "int8" }, device);
    if (calibration !== undefined) return { kind: "int8", calibration };
    throw new ConfigError("dtype int8: the ranges of the model's activations aren't known", {
      hint: 'Give calibration: { pictures }, a few pictures on which to observe them, or form: { kind: "int8", ranges } with what calibrate() found.',
    });
  }
  if (form !== undefined && "calibration" in form) {
    // Nothing but the words beside it can be wrong.
    chooseForm({ ...words, form: { kind: "int8", ranges: {} } });
    return form;
  }
  return chooseForm(form === undefined ? words : { ...words, form }, { packWeights: false });
}

/** Checkpoints are large and pictures few: a second copy of the weights rarely pays. */
const MAPPED = { kind: "plain", packWeights: false } as const;

/** The form that a model is to run in; for int8, the ranges of its values are observed where they aren't known. */
async function formOf({ model, weights }: Checkpoint, options: LoadOptions): Promise<Form> {
  const form = chooseModelForm(options);
  if (!("calibration" in form)) return form;
  const { calibration } = form;
  const { threads, programCache } = options;
  const observe = async () => {
    const engine = await createEngine({ device: "cpu", form: MAPPED, ...(threads === undefined ? {} : { threads }) });
    try {
      return await calibrate({ description: model, weights, engine }, calibration);
    } finally {
      await engine.dispose();
    }
  };
  const { pictures } = calibration;
  const ranges =
    programCache === undefined
      ? await observe()
      : await keepRanges(programCache, { config: model.config, weights, pictures }, observe);
  return { kind: "int8", ranges };
}
