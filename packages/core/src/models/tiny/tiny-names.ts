/**
 * Parameter names of tiny autoencoders, and the configuration that the arrays of an original file tell.
 *
 * Diffusers counts the layers of each half (`encoder.layers.4.conv.0.weight`). The original files are flat sequences, one file for
 * each half (`4.conv.0.weight`); their decoder begins with a layer without parameters, the clamp, that diffusers doesn't count.
 */
import { CheckpointError } from "../../errors.js";
import type { LatentScaling, NameRule, WeightNames, WeightPiece } from "../family.js";
import { checkHalves, type TinyConfig, type TinyLevel } from "./tiny-config.js";

type Part = "encoder" | "decoder";

/** Position of a part's first layer in the original sequence. */
const FIRST: Readonly<Record<Part, number>> = { encoder: 0, decoder: 1 };

/** Names as in the original sequences, with what stands before the number in each part (null: no place for that part). */
const original =
  (prefixes: Readonly<Record<Part, string | null>>): NameRule =>
  ({ name, shape }) => {
    const [, part, layer, rest] = /^(encoder|decoder)\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    const prefix = prefixes[part as Part];
    if (prefix === undefined || prefix === null) return undefined;
    return [{ name: `${prefix}${Number(layer) + FIRST[part as Part]}.${rest}`, shape }];
  };

const all = (names: readonly string[], pattern: RegExp) =>
  names.length > 0 && names.every((name) => pattern.test(name));

const LAYER = String.raw`\d+\.(?:(?:conv|pool)\.\d\.)?(?:skip\.)?(?:weight|bias)$`;
const FLAT = new RegExp(`^${LAYER}`);
const PREFIXED = new RegExp(`^(?:encoder|decoder)\\.${LAYER}`);
const DIFFUSERS = new RegExp(String.raw`^(?:encoder|decoder)\.layers\.${LAYER}`);

/** As diffusers names them, both original files in one, and each of them alone. */
export const TINY_WEIGHT_NAMES = {
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
export function tinyWithoutMissing(config: TinyConfig, names: readonly string[], format: string): TinyConfig {
  const has = (part: Part) =>
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
export function inferTinyConfig(
  entries: Iterable<WeightPiece>,
  format: string,
  source: string,
): ({ readonly config: TinyConfig } & LatentScaling) | undefined {
  // Activations are part of diffusers' configuration, and can't be seen in its files.
  if (format === "tiny-diffusers") return undefined;
  const arrays = [...entries];
  const partOf = (part: Part): Layer[] | null => {
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
