/**
 * The ranges of a model's activations, observed on a few pictures: what computing with 8 bits needs to know (post-training
 * static quantization).
 *
 * Ranges are the smallest and largest values seen. Cutting off rare values gained nothing: on the small model that comes with
 * this package, 2 to 24 drawn scenes gave the same PSNR within 0.02 dB.
 */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { checkOptions, type OptionNames } from "../check-options.js";
import { writeFileAtomic } from "../checkpoint/atomic-file.node.js";
import type { Weights } from "../checkpoint/weights.js";
import { ConfigError } from "../errors.js";
import type { Program } from "../graph/program.js";
import {
  type ActivationRanges,
  beforeQuantization,
  type ConvRanges,
  mergeRanges,
  RANGES_OUTPUT,
  withRanges,
} from "../graph/rewrite/quantize.js";
import type { Tensor } from "../graph/tensor.js";
import { compressionOf, familyOf, type ModelConfig } from "../models/families.js";
import type { AutoencoderConfig } from "../models/family.js";
import { buildDecodeProgram, buildEncodeProgram } from "../models/model-programs.js";
import type { Engine } from "../runtime/engine.js";
import { openCacheFolder } from "../runtime/file-facts.node.js";
import { weightIdentities } from "../runtime/kept-constants.node.js";
import { checkFinite, checkPicture } from "./check-tensors.js";

/** What is calibrated: a model, or its parts with an engine in float32. */
interface CalibratedModel {
  readonly description: ModelConfig;
  readonly weights: Weights;
  readonly engine: Engine;
}

/** The pictures on which the ranges of an int8 model are observed. */
export interface CalibrationOptions {
  /**
   * [N, C, H, W] or [C, H, W] in [-1, 1], of any sizes that the model takes: like what will be encoded, with edges, texture and
   * plain areas. A few are enough; `calibrationScenes()` of `@dcae/train/scenes` draws four where none are at hand.
   */
  readonly pictures: readonly Tensor[];
  /** Runs of the encoder and of the decoder. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

const CALIBRATION_OPTIONS: OptionNames<CalibrationOptions> = { pictures: true, onProgress: true };

/**
 * Runs the model on pictures and records between which values its convolutions take and give.
 *
 * @throws ConfigError without pictures, ShapeError for pictures that the model doesn't take, DataError when values aren't finite
 */
export async function calibrate(
  { description, weights, engine }: CalibratedModel,
  options: CalibrationOptions,
): Promise<ActivationRanges> {
  checkOptions("calibration", options, CALIBRATION_OPTIONS);
  const { config } = description;
  const compression = compressionOf(description);
  const { onProgress } = options;
  const pictures = options.pictures.map((x) => checkPicture(x, config.inChannels, compression));
  if (pictures.length === 0) throw new ConfigError("calibrate: there are no pictures");
  const total = 2 * pictures.length;
  let ranges: ActivationRanges = {};
  let done = 0;

  /** Runs one direction on every tensor, those of one shape with one program; gives its results. */
  async function observe(inputs: readonly Tensor[], build: (shape: readonly number[]) => Program): Promise<Tensor[]> {
    const results: Tensor[] = [];
    for (const shape of new Set(inputs.map((x) => x.shape.join()))) {
      const program = beforeQuantization(build(shape.split(",").map(Number)));
      const [[inputName], [outputName]] = [[...program.inputs.keys()], [...program.outputs.keys()]] as [
        [string],
        [string],
      ];
      const loaded = await engine.load(withRanges(program), weights);
      try {
        for (const x of inputs.filter((tensor) => tensor.shape.join() === shape)) {
          const outputs = await loaded.run({ [inputName]: x });
          const observed = await checkFinite(outputs[RANGES_OUTPUT] as Tensor, x, { weights, engine }, "calibrate");
          ranges = mergeRanges(ranges, program, observed);
          results.push(outputs[outputName] as Tensor);
          onProgress?.({ done: ++done, total });
        }
      } finally {
        await loaded.dispose();
      }
    }
    return results;
  }

  const { latent } = familyOf(description);
  const encoded = await observe(pictures, (shape) => buildEncodeProgram(description, shape));
  const latents = encoded.map((output) => latent.latentOf(latent.read(output.cast("float32"))));
  await observe(latents, (shape) => buildDecodeProgram(description, shape));
  return ranges;
}

/** Changes when ranges are observed or described in another way. */
const FORMAT = 1;

interface RangesSource {
  readonly config: AutoencoderConfig;
  readonly weights: Weights;
  readonly pictures: readonly Tensor[];
}

const isRange = (value: unknown) => Array.isArray(value) && value.length === 2 && value.every(Number.isFinite);

function parseRanges(text: string): ActivationRanges | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return undefined;
  const entries = Object.entries(parsed as Record<string, Partial<ConvRanges> | null>);
  const whole = entries.length > 0 && entries.every(([, entry]) => isRange(entry?.input) && isRange(entry?.output));
  return whole ? (parsed as ActivationRanges) : undefined;
}

/**
 * What `observe` gave for these weights and pictures before, or gives now. A damaged file is written again.
 *
 * @throws DataError when the folder can't be used
 */
export async function keepRanges(
  folder: string,
  { config, weights, pictures }: RangesSource,
  observe: () => Promise<ActivationRanges>,
): Promise<ActivationRanges> {
  const { path: home, facts } = await openCacheFolder(folder);
  const identity = weightIdentities(weights, facts);
  const hash = createHash("sha256").update(`ranges ${FORMAT}\n${JSON.stringify(config)}\n`);
  for (const name of [...weights.entries.keys()].sort()) hash.update(`${name} ${await identity(name)}\n`);
  for (const { shape, bytes } of pictures) hash.update(`[${shape.join()}]`).update(bytes);
  await facts.save();
  const path = join(home, `ranges-${hash.digest("hex")}.json`);
  const known = parseRanges(await readFile(path, "utf8").catch(() => ""));
  if (known !== undefined) return known;
  const ranges = await observe();
  await writeFileAtomic(path, (file) => file.write(Buffer.from(JSON.stringify(ranges))));
  return ranges;
}
