/**
 * The published DC-AE models, as data (dcae.md section 4), with the numbers published or counted for them. Several presets share one
 * architecture and differ in their weights only.
 */

import type { ActName, BlockSpec, NormName } from "../../blocks/block-spec.js";
import type { Gmacs, PresetBase, PublishedEvaluation } from "../family.js";
import type { DcAeConfig, DcAeDecoderConfig, DcAeEncoderConfig } from "./dc-ae-config.js";

/** A published architecture, which several checkpoints may share. */
export interface Architecture {
  readonly config: DcAeConfig;
  /** Learnable values. */
  readonly parameters: { readonly encoder: number; readonly decoder: number; readonly total: number };
  /** By picture side in pixels. */
  readonly gmacs: Readonly<Record<256 | 512 | 1024, Gmacs>>;
}

const RES: BlockSpec = { type: "ResBlock" };
const EVIT: BlockSpec = { type: "EViTGLU", scales: [] };
const EVIT_S5: BlockSpec = { type: "EViTGLU", scales: [5] };

const WIDTHS = [128, 256, 512, 512, 1024, 1024];

/** `count` entries: the first three are `shallow`, the others `deep`. */
function split<Item>(count: number, shallow: Item, deep: Item): Item[] {
  return Array.from({ length: count }, (_, stage) => (stage < 3 ? shallow : deep));
}

interface EncoderOptions {
  readonly widthList: readonly number[];
  readonly depthList: readonly number[];
  readonly deepBlock: BlockSpec;
  readonly downsampleBlockType?: DcAeEncoderConfig["downsampleBlockType"];
  readonly outBlockType?: DcAeEncoderConfig["outBlockType"];
  readonly outShortcut?: DcAeEncoderConfig["outShortcut"];
}

function encoder(options: EncoderOptions): DcAeEncoderConfig {
  const { widthList, depthList, deepBlock } = options;
  const stages = widthList.length;
  return {
    widthList,
    depthList,
    blockType: split(stages, RES, deepBlock),
    norm: split<NormName>(stages, "trms2d", "trms2d"),
    act: split<ActName>(stages, "silu", "silu"),
    downsampleBlockType: options.downsampleBlockType ?? "ConvPixelUnshuffle",
    downsampleShortcut: "averaging",
    outNorm: null,
    outAct: null,
    outBlockType: options.outBlockType ?? "ConvLayer",
    outShortcut: options.outShortcut === undefined ? "averaging" : options.outShortcut,
  };
}

interface DecoderOptions {
  readonly widthList: readonly number[];
  readonly depthList: readonly number[];
  readonly deepBlock: BlockSpec;
  readonly shallowNorm?: NormName;
  readonly shallowAct?: ActName;
  readonly upsampleBlockType?: DcAeDecoderConfig["upsampleBlockType"];
  readonly inBlockType?: DcAeDecoderConfig["inBlockType"];
  readonly inShortcut?: DcAeDecoderConfig["inShortcut"];
  readonly outAct: ActName;
}

function decoder(options: DecoderOptions): DcAeDecoderConfig {
  const { widthList, depthList, deepBlock } = options;
  const stages = widthList.length;
  return {
    inBlockType: options.inBlockType ?? "ConvLayer",
    inShortcut: options.inShortcut === undefined ? "duplicating" : options.inShortcut,
    widthList,
    depthList,
    blockType: split(stages, RES, deepBlock),
    norm: split<NormName>(stages, options.shallowNorm ?? "trms2d", "trms2d"),
    act: split<ActName>(stages, options.shallowAct ?? "silu", "silu"),
    upsampleBlockType: options.upsampleBlockType ?? "ConvPixelShuffle",
    upsampleShortcut: "duplicating",
    outNorm: "trms2d",
    outAct: options.outAct,
  };
}

function config(latentChannels: number, encode: DcAeEncoderConfig, decode: DcAeDecoderConfig): DcAeConfig {
  return { inChannels: 3, latentChannels, headDim: 32, encoder: encode, decoder: decode };
}

/** The 1.0 family for ImageNet ("in") and mixed data ("mix"): deeper models add stages of width 2048. */
function inOrMix(latentChannels: number, extraWidths: readonly number[]): DcAeConfig {
  const widthList = [...WIDTHS, ...extraWidths];
  const extraDepths = extraWidths.map(() => 2);
  return config(
    latentChannels,
    encoder({ widthList, depthList: [0, 4, 8, 2, 2, 2, ...extraDepths], deepBlock: EVIT }),
    decoder({
      widthList,
      depthList: [0, 5, 10, 2, 2, 2, ...extraDepths],
      deepBlock: EVIT,
      shallowNorm: "bn2d",
      shallowAct: "relu",
      outAct: "relu",
    }),
  );
}

const sanaEncoder = encoder({
  widthList: WIDTHS,
  depthList: [2, 2, 2, 3, 3, 3],
  deepBlock: EVIT_S5,
  downsampleBlockType: "Conv",
});

/** 1.1 and 1.5: residual blocks only, no shortcuts around the latent; 1.5 has adaptive latent channels. */
function residualOnly(extraWidths: readonly number[], adaptive: boolean): DcAeConfig {
  const shared = {
    widthList: [...WIDTHS, ...extraWidths],
    depthList: [0, 5, 10, 4, 4, 4, ...extraWidths.map(() => 4)],
    deepBlock: RES,
  };
  return config(
    128,
    encoder({ ...shared, outShortcut: null, outBlockType: adaptive ? "AdaptiveOutputConvLayer" : "ConvLayer" }),
    decoder({
      ...shared,
      inShortcut: null,
      inBlockType: adaptive ? "AdaptiveInputConvLayer" : "ConvLayer",
      outAct: "silu",
    }),
  );
}

const f32c128Facts = {
  parameters: { encoder: 228_609_408, decoder: 295_000_332, total: 523_609_740 },
  gmacs: {
    256: { encode: 342.6, decode: 370.2 },
    512: { encode: 1370.6, decode: 1480.7 },
    1024: { encode: 5482.3, decode: 5922.6 },
  },
} as const;

/** The published architectures of DC-AE, with parameter counts and multiply-accumulates. */
export const ARCHITECTURES = {
  "f32c32-in": {
    config: inOrMix(32, []),
    parameters: { encoder: 123_172_384, decoder: 200_184_076, total: 323_356_460 },
    gmacs: {
      256: { encode: 260.7, decode: 346.2 },
      512: { encode: 1042.7, decode: 1384.7 },
      1024: { encode: 4170.9, decode: 5538.9 },
    },
  },
  "f64c128-in": {
    config: inOrMix(128, [2048]),
    parameters: { encoder: 264_550_528, decoder: 412_345_612, total: 676_896_140 },
    gmacs: {
      256: { encode: 263.2, decode: 349.6 },
      512: { encode: 1052.6, decode: 1398.3 },
      1024: { encode: 4210.6, decode: 5593.1 },
    },
  },
  "f128c512-in": {
    config: inOrMix(512, [2048, 2048]),
    parameters: { encoder: 415_661_056, decoder: 705_021_196, total: 1_120_682_252 },
    gmacs: {
      256: { encode: 263.8, decode: 350.7 },
      512: { encode: 1055.4, decode: 1402.8 },
      1024: { encode: 4221.6, decode: 5611.4 },
    },
  },
  "f32c32-sana": {
    config: config(
      32,
      sanaEncoder,
      decoder({
        widthList: WIDTHS,
        depthList: [3, 3, 3, 3, 3, 3],
        deepBlock: EVIT_S5,
        upsampleBlockType: "InterpolateConv",
        outAct: "relu",
      }),
    ),
    parameters: { encoder: 153_027_104, decoder: 159_223_171, total: 312_250_275 },
    gmacs: {
      256: { encode: 161.9, decode: 261.5 },
      512: { encode: 647.4, decode: 1046.1 },
      1024: { encode: 2589.8, decode: 4184.3 },
    },
  },
  "f32c32-lite": {
    config: config(
      32,
      sanaEncoder,
      decoder({ widthList: WIDTHS, depthList: [0, 3, 5, 4, 4, 4], deepBlock: RES, outAct: "silu" }),
    ),
    parameters: { encoder: 153_027_104, decoder: 268_154_124, total: 421_181_228 },
    gmacs: {
      256: { encode: 161.9, decode: 234.8 },
      512: { encode: 647.4, decode: 939.3 },
      1024: { encode: 2589.8, decode: 3757.1 },
    },
  },
  "f32c128-1.1": { config: residualOnly([], false), ...f32c128Facts },
  "f32c128-1.5": { config: residualOnly([], true), ...f32c128Facts },
  "f64c128-1.5": {
    config: residualOnly([1024], true),
    parameters: { encoder: 306_478_720, decoder: 408_262_924, total: 714_741_644 },
    gmacs: {
      256: { encode: 343.9, decode: 371.9 },
      512: { encode: 1375.8, decode: 1487.7 },
      1024: { encode: 5503.2, decode: 5950.7 },
    },
  },
} as const satisfies Readonly<Record<string, Architecture>>;

/** Names of the published architectures. */
export type ArchitectureId = keyof typeof ARCHITECTURES;

/** A published DC-AE. */
export interface DcAePreset extends PresetBase {
  readonly kind: "dc-ae";
  /** Training recipe: ImageNet, mixed data, SANA, SANA with a light decoder, 1.1, or 1.5 (adaptive latent channels). */
  readonly family: "in" | "mix" | "sana" | "lite" | "1.1" | "1.5";
  readonly architecture: ArchitectureId;
  readonly config: DcAeConfig;
}

interface DcAeRow {
  readonly name: string;
  readonly family: DcAePreset["family"];
  readonly architecture: ArchitectureId;
  readonly scalingFactor: number | null;
  /** Default: the family's owner with the preset's name. */
  readonly hubId?: null;
  readonly aliases?: readonly string[];
  readonly published?: PublishedEvaluation;
}

const dcAeRows: readonly DcAeRow[] = [
  { name: "dc-ae-f32c32-in-1.0", family: "in", architecture: "f32c32-in", scalingFactor: 0.3189 },
  { name: "dc-ae-f32c32-mix-1.0", family: "mix", architecture: "f32c32-in", scalingFactor: 0.4552 },
  // Known from the newest official code's registry only.
  { name: "dc-ae-f32c32-in-1.0-256px", family: "in", architecture: "f32c32-in", scalingFactor: null, hubId: null },
  {
    name: "dc-ae-f64c128-in-1.0",
    family: "in",
    architecture: "f64c128-in",
    scalingFactor: 0.2889,
    published: {
      dataset: "ImageNet val",
      resolution: 512,
      psnr: 26.149,
      rFid: 0.2168,
      ssim: 0.7105,
      lpips: 0.0802,
      clipIqa: 0.7562,
      latent: { mean: -0.0523, rms: 3.4593, std: 3.4589 },
    },
  },
  { name: "dc-ae-f64c128-mix-1.0", family: "mix", architecture: "f64c128-in", scalingFactor: 0.4538 },
  { name: "dc-ae-f128c512-in-1.0", family: "in", architecture: "f128c512-in", scalingFactor: 0.4883 },
  { name: "dc-ae-f128c512-mix-1.0", family: "mix", architecture: "f128c512-in", scalingFactor: 0.362 },
  {
    name: "dc-ae-f32c32-sana-1.0",
    family: "sana",
    architecture: "f32c32-sana",
    scalingFactor: 0.41407,
    published: { dataset: "MJHQ", resolution: 1024, psnr: 29.31, rFid: 0.339 },
  },
  {
    // The encoder of 1.0 with a better decoder.
    name: "dc-ae-f32c32-sana-1.1",
    family: "sana",
    architecture: "f32c32-sana",
    scalingFactor: 0.41407,
    published: { dataset: "MJHQ", resolution: 1024, psnr: 29.74, rFid: 0.314 },
  },
  {
    name: "dc-ae-lite-f32c32-sana-1.1",
    family: "lite",
    architecture: "f32c32-lite",
    scalingFactor: 0.41407,
    aliases: ["dc-ae-lite-f32c32", "dc-ae-lite"],
  },
  { name: "dc-ae-f32c128-1.1", family: "1.1", architecture: "f32c128-1.1", scalingFactor: null },
  { name: "dc-ae-f32c128-1.5", family: "1.5", architecture: "f32c128-1.5", scalingFactor: null },
  // The factor is that of the published diffusion configurations.
  { name: "dc-ae-f64c128-1.5", family: "1.5", architecture: "f64c128-1.5", scalingFactor: 0.5935 },
];

const owners: Readonly<Record<DcAePreset["family"], string>> = {
  in: "mit-han-lab",
  mix: "mit-han-lab",
  sana: "mit-han-lab",
  lite: "mit-han-lab",
  "1.1": "dc-ai",
  "1.5": "dc-ai",
};

function dcAePreset({ aliases = [], hubId, ...row }: DcAeRow): DcAePreset {
  const { config, parameters, gmacs }: Architecture = ARCHITECTURES[row.architecture];
  const defaultHubId = `${owners[row.family]}/${row.name}`;
  return { kind: "dc-ae", ...row, aliases, hubId: hubId === null ? null : defaultHubId, config, parameters, gmacs };
}

export const DC_AE_PRESETS: readonly DcAePreset[] = dcAeRows.map(dcAePreset);
