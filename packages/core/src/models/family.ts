/**
 * A family of autoencoders as data: everything in which one differs from another, its published models included. What works on
 * autoencoders asks the row (families.ts) and never which family it is.
 */
import type { Scope } from "../graph/scope.js";
import type { ParameterSpec, Value } from "../graph/value.js";
import type { LatentForm } from "./latent.js";

/** The halves of an autoencoder, as the names of their parameters begin. */
export const MODEL_PARTS = ["encoder", "decoder"] as const;
/** The halves of an autoencoder. */
export type ModelPartName = (typeof MODEL_PARTS)[number];

/** Multiply-accumulate operations per picture, in units of 10^9: convolutions and attention products only. */
export interface Gmacs {
  readonly encode: number;
  readonly decode: number;
}

/** What is known of a published model, whatever its family. */
export interface PresetBase {
  readonly name: string;
  /** Other names that mean the same model, without owner. */
  readonly aliases: readonly string[];
  /** Repository with the weights on the Hugging Face hub; null where none is known. */
  readonly hubId: string | null;
  /**
   * Diffusion models see `(latent - shiftFactor) * scalingFactor`; encode and decode themselves never apply it. It is 1 / RMS of
   * the latents over the model's training set, or 1 / deviation where there is a shift. Null where none is published (measure it
   * before training a diffusion model).
   */
  readonly scalingFactor: number | null;
  /** The mean of the latents, where the authors take it off. Absent: nothing is subtracted. */
  readonly shiftFactor?: number;
  /** Learnable values. */
  readonly parameters: { readonly encoder: number; readonly decoder: number; readonly total: number };
  /** 10^9 multiply-accumulates per picture, by side in pixels. */
  readonly gmacs: Readonly<Record<256 | 512 | 1024, Gmacs>>;
  /** Results that the authors published for the model. */
  readonly published?: PublishedEvaluation;
}

/** Numbers that the authors published of a model. */
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

/** What the configurations of all families have. */
export interface AutoencoderConfig {
  /** Channels of the pictures. */
  readonly inChannels: number;
  /** Channels of a latent. */
  readonly latentChannels: number;
}

/** How latents get to the scale that diffusion models see: (z - shift) * factor. Null where a file says nothing. */
export interface LatentScaling {
  readonly scalingFactor: number | null;
  readonly shiftFactor: number | null;
}

/** What encoders of some families can be asked for. */
export interface EncodeOptions {
  /** Adaptive models: how many of the first latent channels to compute (default all). */
  readonly latentChannels?: number | undefined;
}

/** What some decoders take besides a latent, to fill in pictures: `T` is a value of a graph, or a tensor. */
export interface DecodeCondition<T> {
  /** The picture [N, C, H, W] in [-1, 1]; what the mask covers of it doesn't count. */
  readonly image: T;
  /** The mask [N, 1, H, W]: 1 where the picture is to be filled in, 0 where it is known. */
  readonly mask: T;
}

/** An array of a file. */
export interface WeightPiece {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The pieces of one parameter, or undefined where the format has no place for it. */
export type NameRule = (spec: WeightPiece) => readonly WeightPiece[] | undefined;

/** One of the formats that files of weights come in. */
export interface WeightNames {
  /** Whether a file with arrays of these names is one. */
  fits(names: readonly string[]): boolean;
  /** The names in the file of all parameters of a model. */
  rule(specs: readonly Pick<ParameterSpec, "name" | "shape">[]): NameRule;
}

/** The checkpoint layouts that are written: the authors' own, and that of the diffusers library. */
export const CHECKPOINT_FORMATS = ["official", "diffusers"] as const;
/** Layouts of checkpoints: the authors' own ("official"), or that of diffusers. */
export type CheckpointFormat = (typeof CHECKPOINT_FORMATS)[number];

/** How checkpoints are laid out in one of the `CHECKPOINT_FORMATS`. */
export interface CheckpointLayout {
  /** A key of `weightNames`. */
  readonly weights: string;
  /** What repositories of published models end with, as their names go on the hub; null where they are in no such layout. */
  readonly hubSuffix: string | null;
}

/** A row of `FAMILIES`. */
export interface AutoencoderFamily<Config extends AutoencoderConfig = AutoencoderConfig, Latent = unknown> {
  /** As people call it, for messages and tables. */
  readonly label: string;
  /** As diffusers and this package call its class; `_class_name` in config.json. */
  readonly className: string;
  readonly latent: LatentForm<Latent>;
  /** Pixels per latent position along each axis. */
  compression(config: Config): number;
  /** Pictures [N, C, H, W] in [-1, 1] to what `latent` reads. */
  encode(scope: Scope, x: Value, config: Config, options?: EncodeOptions): Value;
  /** Latents [N, L, h, w] to pictures [N, C, h*f, w*f], with a condition only where the family takes one. */
  decode(scope: Scope, latent: Value, config: Config, condition?: DecodeCondition<Value>): Value;
  /** Whether the decoder can take a picture and a mask besides the latent; absent where it can't. */
  readonly takesCondition?: boolean;
  /** Whether a model has that half; absent where it always has both. */
  hasPart?(config: Config, part: ModelPartName): boolean;
  /** The configuration without the half of which a file in the format has nothing; absent where both halves are always there. */
  withoutMissingPart?(config: Config, names: readonly string[], format: string): Config;
  /**
   * The configuration that the arrays of a file tell, where no published model has them: a proposal, which the arrays are then
   * checked against. Absent, or undefined for a format, where names and shapes don't tell everything.
   *
   * @throws CheckpointError where they are those of no such model
   */
  inferConfig?(
    arrays: Iterable<WeightPiece>,
    format: string,
    source: string,
  ): ({ readonly config: Config } & LatentScaling) | undefined;
  /** Whether the encoder can give, and the decoder take, only the first channels of a latent. */
  isAdaptive(config: Config): { readonly encoder: boolean; readonly decoder: boolean };
  /** Blended tiles as diffusers has them for this model. */
  blendedTiles(config: Config): BlendedTiles;
  /**
   * Reads a config.json with the family's `className`.
   *
   * @param source for messages: the file
   * @throws ConfigError naming each wrong field, its value and what is allowed
   */
  readConfig(json: unknown, source: string): { readonly config: Config } & LatentScaling;
  /** The other direction. @throws ConfigError naming what diffusers can't express */
  writeConfig(config: Config, scaling: LatentScaling): Record<string, unknown>;
  /** The authors' own form of the configuration: what their constructor takes. Absent where there is none. */
  readonly officialConfig?: {
    read(json: unknown, source: string): Config;
    write(config: Config): Readonly<Record<string, unknown>>;
  };
  /**
   * The part of a configuration that the network is made of, without what only tiling uses: models with equal ones can't be told
   * apart by their arrays. Absent where that is all of it.
   */
  architecture?(config: Config): unknown;
  /** The formats of weights, by name. */
  readonly weightNames: Readonly<Record<string, WeightNames>>;
  /** The layouts that checkpoints are written in, the usual one first. */
  readonly layouts: Readonly<Partial<Record<CheckpointFormat, CheckpointLayout>>>;
  /** The published models. Those of one architecture share their config object. */
  readonly presets: readonly (PresetBase & { readonly config: Config })[];
}

/** Size of tiles and distance between their starts, as [vertical, horizontal], in pixels of the picture. */
export interface TilingOptions {
  readonly tile: readonly [number, number];
  readonly stride: readonly [number, number];
}

/** One pass over tiles: geometry of the input, and of what is kept of each output. */
export interface BlendedPass {
  readonly tile: readonly [number, number];
  readonly stride: readonly [number, number];
  /** Width of the blended seam in the output. */
  readonly blend: readonly [number, number];
  /** How much of each output tile is kept (less at the far border). */
  readonly keep: readonly [number, number];
}

export interface BlendedTiles {
  /** From pixels to latent positions. */
  readonly encode: BlendedPass;
  /** From latent positions to pixels. */
  readonly decode: BlendedPass;
}

/** @param compression pixels per latent position */
export function blendedTiles({ tile, stride }: TilingOptions, compression: number): BlendedTiles {
  const inLatent = ([vertical, horizontal]: readonly [number, number]) =>
    [Math.floor(vertical / compression), Math.floor(horizontal / compression)] as const;
  const overlap = (a: readonly [number, number], b: readonly [number, number]) => [a[0] - b[0], a[1] - b[1]] as const;
  const [latentTile, latentStride] = [inLatent(tile), inLatent(stride)];
  return {
    encode: { tile, stride, blend: overlap(latentTile, latentStride), keep: latentStride },
    decode: { tile: latentTile, stride: latentStride, blend: overlap(tile, stride), keep: stride },
  };
}
