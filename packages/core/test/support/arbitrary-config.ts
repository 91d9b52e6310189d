/** Random valid DC-AE configurations. */
import fc from "fast-check";
import { ACT_NAMES, type ActName, type BlockSpec, NORM_NAMES, type NormName } from "../../src/blocks/block-spec.js";
import type { DcAeConfig } from "../../src/models/dc-ae/dc-ae-config.js";
import type { TinyConfig, TinyLevel } from "../../src/models/tiny/tiny-config.js";

const odd = fc.integer({ min: 0, max: 3 }).map((half) => 2 * half + 1);
const attention: fc.Arbitrary<BlockSpec> = fc.record({
  type: fc.constant("EViTGLU" as const),
  scales: fc.array(odd, { maxLength: 3 }),
});

/** Every kind of block. */
export const anyBlock: fc.Arbitrary<BlockSpec> = fc.oneof(
  fc.constant<BlockSpec>({ type: "ResBlock" }),
  attention,
  fc.constant<BlockSpec>({ type: "EViTNormQKGLU" }),
  fc.record({ type: fc.constant("GLUResBlock" as const), gateKernel: odd }),
  fc.record({
    type: fc.constant("ChannelAttentionResBlock" as const),
    attention: fc.constantFrom("SEModule" as const, "CoordAttnModule" as const),
    position: fc.constantFrom(1 as const, 2 as const),
  }),
  fc.record({ type: fc.constant("GLUMBConv" as const), expansion: fc.constantFrom(1, 2.5, 4, 6) }),
);

export interface StageChoice {
  readonly blockType: BlockSpec;
  readonly norm: NormName | null;
  readonly act: ActName | null;
}

/** Block, norm and activation of one stage. */
export const anyStage: fc.Arbitrary<StageChoice> = fc.record({
  blockType: anyBlock,
  norm: fc.constantFrom(...NORM_NAMES, null),
  act: fc.constantFrom(...ACT_NAMES, null),
});

const encoderStage: fc.Arbitrary<StageChoice> = fc.record({
  blockType: fc.oneof(fc.constant<BlockSpec>({ type: "ResBlock" }), attention),
  norm: fc.constant("trms2d" as const),
  act: fc.constant("silu" as const),
});
/** Stages that diffusers' decoder can have. */
const decoderStage: fc.Arbitrary<StageChoice> = fc.oneof(
  encoderStage,
  fc.record({
    blockType: fc.constant<BlockSpec>({ type: "ResBlock" }),
    norm: fc.constantFrom("trms2d" as const, "bn2d" as const),
    act: fc.constantFrom("silu" as const, "mish" as const, "gelu_erf" as const, "relu" as const),
  }),
);

/** Depths (the first stage may be empty) and widths that all shortcuts accept, for n stages. */
function sizes(stages: number): fc.Arbitrary<{ widthList: number[]; depthList: number[] }> {
  const depth = fc.integer({ min: 1, max: 3 });
  return fc.record({
    widthList: fc.array(fc.constantFrom(1, 2, 4), { minLength: stages - 1, maxLength: stages - 1 }).map((factors) => {
      const widths = [8];
      for (const factor of factors) widths.push((widths.at(-1) as number) * factor);
      return widths;
    }),
    depthList: fc
      .tuple(
        fc.integer({ min: stages > 1 ? 0 : 1, max: 2 }),
        fc.array(depth, { minLength: stages - 1, maxLength: stages - 1 }),
      )
      .map(([first, rest]) => [first, ...rest]),
  });
}

function stagesOf(stage: fc.Arbitrary<StageChoice>, count: number) {
  return fc.array(stage, { minLength: count, maxLength: count }).map((choices) => ({
    blockType: choices.map(({ blockType }) => blockType),
    norm: choices.map(({ norm }) => norm),
    act: choices.map(({ act }) => act),
  }));
}

/** A valid configuration; `diffusers` keeps to what AutoencoderDC can express. */
export function anyDcAeConfig(kind: "any" | "diffusers"): fc.Arbitrary<DcAeConfig> {
  const free = kind === "any";
  return fc.integer({ min: 1, max: 4 }).chain((count) =>
    fc
      .record({
        inChannels: fc.integer({ min: 1, max: 4 }),
        latentChannels: fc.constantFrom(1, 2, 4, 8),
        headDim: fc.constantFrom(2, 4, 8),
        encoderSizes: sizes(count),
        decoderSizes: sizes(count),
        encoderStages: stagesOf(free ? anyStage : encoderStage, count),
        decoderStages: stagesOf(free ? anyStage : decoderStage, count),
        adaptive: fc.tuple(fc.boolean(), fc.boolean()),
        shortcuts: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        outNorms: fc.tuple(anyStage, anyStage),
        outAct: fc.constantFrom("relu" as const, "silu" as const, "gelu_erf" as const),
        downsampleBlockType: fc.constantFrom("ConvPixelUnshuffle" as const, "Conv" as const),
        upsampleBlockType: fc.constantFrom("ConvPixelShuffle" as const, "InterpolateConv" as const),
      })
      .map((choice): DcAeConfig => {
        const [encoderOut, decoderOut] = choice.outNorms;
        const [down, up, out, into] = choice.shortcuts;
        const [adaptiveOut, adaptiveIn] = choice.adaptive;
        return {
          inChannels: choice.inChannels,
          latentChannels: choice.latentChannels,
          headDim: choice.headDim,
          encoder: {
            ...choice.encoderSizes,
            ...choice.encoderStages,
            downsampleBlockType: choice.downsampleBlockType,
            downsampleShortcut: free && !down ? null : "averaging",
            outNorm: free ? encoderOut.norm : null,
            outAct: free ? encoderOut.act : null,
            outBlockType: adaptiveOut ? "AdaptiveOutputConvLayer" : "ConvLayer",
            outShortcut: adaptiveOut || !out ? null : "averaging",
          },
          decoder: {
            inBlockType: adaptiveIn ? "AdaptiveInputConvLayer" : "ConvLayer",
            inShortcut: adaptiveIn || !into ? null : "duplicating",
            ...choice.decoderSizes,
            ...choice.decoderStages,
            upsampleBlockType: choice.upsampleBlockType,
            upsampleShortcut: free && !up ? null : "duplicating",
            outNorm: free ? decoderOut.norm : "trms2d",
            outAct: free ? decoderOut.act : choice.outAct,
          },
        };
      }),
  );
}

const anyTinyLevels = fc.array(
  fc.record({ channels: fc.integer({ min: 1, max: 9 }), blocks: fc.integer({ min: 1, max: 3 }), pool: fc.boolean() }),
  { minLength: 1, maxLength: 5 },
);

/** Tiny autoencoders of any widths and depths, some of them halves. */
export const anyTinyConfig: fc.Arbitrary<TinyConfig> = fc
  .record({
    stem: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 2 }),
    encoder: anyTinyLevels,
    decoder: anyTinyLevels,
    inChannels: fc.integer({ min: 1, max: 4 }),
    outChannels: fc.integer({ min: 1, max: 4 }),
    latentChannels: fc.integer({ min: 1, max: 9 }),
    halves: fc.constantFrom("both", "encoder", "decoder"),
  })
  .map(({ stem, encoder, decoder, inChannels, outChannels, latentChannels, halves }): TinyConfig => {
    const [widest] = decoder as [TinyLevel];
    const levels = Array.from({ length: stem.length + encoder.length }, (_, i) => decoder[i] ?? widest);
    return {
      // Of a half that lacks nothing is known.
      inChannels: halves === "decoder" ? 3 : inChannels,
      outChannels: halves === "encoder" ? 3 : outChannels,
      latentChannels,
      act: "relu",
      encoder: halves === "decoder" ? null : { stem, levels: encoder },
      decoder: halves === "encoder" ? null : { levels },
      latentMagnitude: 3,
      latentShift: 0.5,
    };
  });
