/**
 * Tiny autoencoders (TAESD and its relatives, diffusers' AutoencoderTiny) as a row of the families, with the published ones, the names
 * of parameters, and the configuration that the arrays of an original file tell.
 *
 * Diffusers counts the layers of each half (`encoder.layers.4.conv.0.weight`). The original files are flat sequences, one file for
 * each half (`4.conv.0.weight`); their decoder begins with a layer without parameters, the clamp, that diffusers doesn't count.
 */
import { CheckpointError } from "../../errors.js";
import type { Tensor } from "../../graph/tensor.js";
import {
  type AutoencoderFamily,
  blendedTiles,
  type LatentScaling,
  type ModelPartName,
  type NameRule,
  type PresetBase,
  type WeightNames,
  type WeightPiece,
} from "../family.js";
import { POINT } from "../latent.js";
import { tinyDecode, tinyEncode } from "./tiny.js";
import {
  checkHalves,
  parseTinyConfig,
  readTinyConfig,
  type TinyConfig,
  type TinyLevel,
  tinyCompression,
  toTinyConfig,
} from "./tiny-config.js";

/** Position of a part's first layer in the original sequence. */
const FIRST: Readonly<Record<ModelPartName, number>> = { encoder: 0, decoder: 1 };

/** Names as in the original sequences, with what stands before the number in each part (null: no place for that part). */
const original =
  (prefixes: Readonly<Record<ModelPartName, string | null>>): NameRule =>
  ({ name, shape }) => {
    const [, part, layer, rest] = /^(encoder|decoder)\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    const prefix = prefixes[part as ModelPartName];
    if (prefix === undefined || prefix === null) return undefined;
    return [{ name: `${prefix}${Number(layer) + FIRST[part as ModelPartName]}.${rest}`, shape }];
  };

const all = (names: readonly string[], pattern: RegExp) =>
  names.length > 0 && names.every((name) => pattern.test(name));

const LAYER = String.raw`\d+\.(?:(?:conv|pool)\.\d\.)?(?:skip\.)?(?:weight|bias)$`;
const FLAT = new RegExp(`^${LAYER}`);
const PREFIXED = new RegExp(`^(?:encoder|decoder)\\.${LAYER}`);
const DIFFUSERS = new RegExp(String.raw`^(?:encoder|decoder)\.layers\.${LAYER}`);

/** As diffusers names them, both original files in one, and each of them alone. */
const TINY_WEIGHT_NAMES = {
  "tiny-diffusers": { fits: (names) => all(names, DIFFUSERS), rule: () => (spec) => [spec] },
  taesd: {
    fits: (names) => all(names, PREFIXED),
    rule: () => original({ encoder: "encoder.", decoder: "decoder." }),
  },
  "taesd-encoder": {
    fits: (names) => all(names, FLAT) && names.includes("0.weight"),
    rule: () => original({ encoder: "", decoder: null }),
  },
  "taesd-decoder": {
    fits: (names) => all(names, FLAT) && !names.includes("0.weight"),
    rule: () => original({ encoder: null, decoder: "" }),
  },
} satisfies Record<string, WeightNames>;

/** The half that a file has nothing of is left out of the configuration. */
function tinyWithoutMissing(config: TinyConfig, names: readonly string[], format: string): TinyConfig {
  const has = (part: ModelPartName) =>
    format.startsWith("taesd-") ? format === `taesd-${part}` : names.some((name) => name.startsWith(`${part}.`));
  return {
    ...config,
    encoder: has("encoder") ? config.encoder : null,
    decoder: has("decoder") ? config.decoder : null,
  };
}

/** One layer of a sequence with parameters, and the number of layers without any before it. */
interface Layer {
  readonly kind: "conv" | "block";
  readonly gap: number;
  readonly pool: boolean;
  readonly shape: readonly number[];
}

/** The layers of a part from the arrays of a file, under diffusers' numbers. */
function layersOf(pieces: readonly WeightPiece[]): Layer[] {
  const shapes = new Map(pieces.map(({ name, shape }) => [name, shape]));
  const numbers = [...new Set(pieces.map(({ name }) => Number(/^\d+/.exec(name)?.[0])))].sort((a, b) => a - b);
  return numbers.map((number, i) => {
    const gap = number - (i === 0 ? 0 : (numbers[i - 1] as number) + 1);
    const conv = shapes.get(`${number}.weight`);
    if (conv !== undefined) return { kind: "conv", gap, pool: false, shape: conv };
    const pool = shapes.has(`${number}.pool.0.weight`);
    return { kind: "block", gap, pool, shape: shapes.get(`${number}.conv.0.weight`) ?? [] };
  });
}

/** Levels of blocks, each but the first behind the convolution that leads to it. The last convolution belongs to none. */
function levelsOf(layers: readonly Layer[], firstChannels: number): TinyLevel[] {
  const levels = [{ channels: firstChannels, blocks: 0, pool: false }];
  for (const { kind, pool, shape } of layers) {
    const level = levels.at(-1) as (typeof levels)[number];
    if (kind === "conv") levels.push({ channels: shape[0] as number, blocks: 0, pool: false });
    else
      Object.assign(level, {
        channels: shape[0] ?? level.channels,
        blocks: level.blocks + 1,
        pool: pool || level.pool,
      });
  }
  return levels;
}

/**
 * The configuration that the arrays of an original file tell: activations are always ReLU there. It is a proposal: whether every
 * array fits it is for `checkWeights` to say.
 *
 * @param entries all arrays of a file in the format
 * @param source for messages: the file
 * @throws CheckpointError where the arrays of a part don't begin and end as such a network does
 */
function inferTinyConfig(
  entries: Iterable<WeightPiece>,
  format: string,
  source: string,
): ({ readonly config: TinyConfig } & LatentScaling) | undefined {
  // Activations are part of diffusers' configuration, and can't be seen in its files.
  if (format === "tiny-diffusers") return undefined;
  const arrays = [...entries];
  const partOf = (part: ModelPartName): Layer[] | null => {
    if (format !== "taesd" && format !== `taesd-${part}`) return null;
    const prefix = format === "taesd" ? `${part}.` : "";
    const pieces = arrays.filter(({ name }) => name.startsWith(prefix));
    if (pieces.length === 0) return null;
    const named = pieces.map(({ name, shape }) => ({ name: name.slice(prefix.length), shape }));
    const layers = layersOf(named.map((piece) => ({ ...piece, name: shifted(piece.name, -FIRST[part]) })));
    const [first, last] = [layers[0], layers.at(-1)];
    if (first === undefined || last === undefined || layers.length < 2 || first.kind !== "conv" || first.gap !== 0) {
      const other = part === "encoder" ? "decoder" : "encoder";
      throw new CheckpointError(`${source}: the tensors of the ${part} don't begin like one`, {
        hint: `Is it the file of the ${other}, or of another network?`,
      });
    }
    if (last.kind !== "conv" || last.gap !== 0) {
      throw new CheckpointError(
        `${source}: the tensors of the ${part} end before its last convolution: it is incomplete`,
      );
    }
    return layers;
  };

  const [encoder, decoder] = [partOf("encoder"), partOf("decoder")];
  const [inner, outer] = [encoder?.at(-1)?.shape, decoder?.[0]?.shape];
  if (inner !== undefined && outer !== undefined && inner[0] !== outer[1]) {
    throw new CheckpointError(
      `${source}: the encoder gives ${inner[0]} latent channels, but the decoder takes ${outer[1]}: they are not of one model`,
    );
  }
  const config: TinyConfig = {
    inChannels: encoder?.[0]?.shape[1] ?? 3,
    outChannels: decoder?.at(-1)?.shape[0] ?? 3,
    latentChannels: (inner?.[0] ?? outer?.[1]) as number,
    act: "relu",
    encoder: encoder === null ? null : encoderOf(encoder),
    decoder: decoder === null ? null : { levels: levelsOf(decoder.slice(1, -1), decoder[0]?.shape[0] as number) },
    latentMagnitude: 3,
    latentShift: 0.5,
  };
  checkHalves(config, source, (message) => new CheckpointError(message));
  // Latents are in the scale of diffusion models already.
  return { config, scalingFactor: 1, shiftFactor: null };
}

/** A layer without parameters (the activation) behind a first convolution tells a stem. */
function encoderOf(layers: readonly Layer[]): NonNullable<TinyConfig["encoder"]> {
  let strided = 0;
  while (layers[strided]?.kind === "conv" && layers[strided + 1]?.gap === 1) strided += 1;
  const stem = layers.slice(0, strided).map(({ shape }) => shape[0] as number);
  const first = Math.max(strided, 1);
  return { stem, levels: levelsOf(layers.slice(first, -1), layers[first - 1]?.shape[0] as number) };
}

function shifted(name: string, by: number): string {
  return name.replace(/^\d+/, (number) => String(Number(number) + by));
}

/** A published tiny autoencoder. */
export interface TinyPreset extends PresetBase {
  readonly kind: "tiny";
  readonly family: "taesd";
  readonly config: TinyConfig;
}

const levels = (blocks: readonly number[], pooled?: number): TinyLevel[] =>
  blocks.map((count, i) => ({ channels: 64, blocks: count, pool: i === pooled }));

const RGB = { inChannels: 3, outChannels: 3, act: "relu", latentMagnitude: 3, latentShift: 0.5 } as const;

const f8 = (latentChannels: number): TinyConfig => ({
  ...RGB,
  latentChannels,
  encoder: { stem: [], levels: levels([1, 3, 3, 3]) },
  decoder: { levels: levels([3, 3, 3, 1]) },
});
const FOUR_CHANNELS = f8(4);
const SIXTEEN_CHANNELS = f8(16);

/** Pools in the deepest level of both halves. */
const TAEF2: TinyConfig = {
  ...RGB,
  latentChannels: 32,
  encoder: { stem: [], levels: levels([1, 3, 3, 3], 3) },
  decoder: { levels: levels([3, 3, 3, 1], 0) },
};

const TAESANA: TinyConfig = {
  ...RGB,
  latentChannels: 32,
  encoder: { stem: [32, 64], levels: levels([1, 3, 3, 3]) },
  decoder: {
    levels: [256, 128, 64, 64, 64, 64].map((channels, i) => ({ channels, blocks: i === 5 ? 1 : 3, pool: false })),
  },
};

type Figures = Pick<PresetBase, "parameters" | "gmacs">;
const FOUR: Figures = {
  parameters: { encoder: 1_222_532, decoder: 1_222_531, total: 2_445_063 },
  gmacs: {
    256: { encode: 15.3, decode: 17.7 },
    512: { encode: 61.2, decode: 70.7 },
    1024: { encode: 244.6, decode: 282.7 },
  },
};
const SIXTEEN: Figures = {
  parameters: { encoder: 1_229_456, decoder: 1_229_443, total: 2_458_899 },
  gmacs: {
    256: { encode: 15.3, decode: 17.7 },
    512: { encode: 61.2, decode: 70.7 },
    1024: { encode: 244.8, decode: 282.8 },
  },
};
const TAEF2_FIGURES: Figures = {
  parameters: { encoder: 1_338_528, decoder: 1_338_499, total: 2_677_027 },
  gmacs: {
    256: { encode: 15.4, decode: 17.8 },
    512: { encode: 61.6, decode: 71.1 },
    1024: { encode: 246.5, decode: 284.6 },
  },
};
const TAESANA_FIGURES: Figures = {
  parameters: { encoder: 1_256_288, decoder: 8_301_763, total: 9_558_051 },
  gmacs: {
    256: { encode: 1.0, decode: 18.5 },
    512: { encode: 4.2, decode: 74.0 },
    1024: { encode: 16.6, decode: 296.0 },
  },
};

const preset = (name: string, config: TinyConfig, hubId: string | null, figures: Figures): TinyPreset => ({
  kind: "tiny",
  family: "taesd",
  name,
  aliases: [],
  hubId,
  // Latents are in the scale of diffusion models already.
  scalingFactor: 1,
  config,
  ...figures,
});

/** The published models: of SD, SDXL, SD3, FLUX.1, FLUX.2, and SANA (DC-AE f32c32). */
const PRESETS: readonly TinyPreset[] = [
  preset("taesd", FOUR_CHANNELS, "madebyollin/taesd", FOUR),
  preset("taesdxl", FOUR_CHANNELS, "madebyollin/taesdxl", FOUR),
  preset("taesd3", SIXTEEN_CHANNELS, "madebyollin/taesd3", SIXTEEN),
  preset("taef1", SIXTEEN_CHANNELS, "madebyollin/taef1", SIXTEEN),
  preset("taef2", TAEF2, null, TAEF2_FIGURES),
  preset("taesana", TAESANA, null, TAESANA_FIGURES),
];

export const TINY = {
  label: "TAESD",
  className: "AutoencoderTiny",
  latent: POINT,
  compression: tinyCompression,
  encode: tinyEncode,
  decode: tinyDecode,
  hasPart: (config: TinyConfig, part: ModelPartName) => config[part] !== null,
  withoutMissingPart: tinyWithoutMissing,
  isAdaptive: () => ({ encoder: false, decoder: false }),
  blendedTiles: (config) => blendedTiles({ tile: [512, 512], stride: [448, 448] }, tinyCompression(config)),
  readConfig: parseTinyConfig,
  writeConfig: toTinyConfig,
  officialConfig: { read: readTinyConfig, write: (config: TinyConfig) => ({ ...config }) },
  inferConfig: inferTinyConfig,
  weightNames: TINY_WEIGHT_NAMES,
  // The first can hold every model; diffusers' class has no pools, no stem and no halves.
  layouts: {
    official: { weights: "taesd", hubSuffix: "" },
    diffusers: { weights: "tiny-diffusers", hubSuffix: "" },
  },
  presets: PRESETS,
} satisfies AutoencoderFamily<TinyConfig, Tensor>;
