/**
 * The form of a DC-AE configuration: keys, types, defaults, one value or a list per stage. What fields mean to each other is
 * checked afterwards (dc-ae-config.ts).
 *
 * Configurations come from strangers, so sizes are bounded here: a description of a few bytes must not ask for terabytes.
 */
import { z } from "zod";
import { ACT_NAMES, BLOCK_TYPE_FORMS, type BlockSpec, NORM_NAMES, parseBlockType } from "../../blocks/block-spec.js";
import { ConfigError } from "../../errors.js";
import { type FieldNamer, parseBySchema, quote } from "../config-issues.js";
import type { DcAeConfig, PerStage } from "./dc-ae-config.js";

const LIMITS = { channels: 65_536, stages: 16, depth: 1024 } as const;

const describe = (expectation: string) => ({ error: () => expectation });

const channels = z
  .int(describe("must be a positive integer"))
  .min(1, describe("must be a positive integer"))
  .max(LIMITS.channels, describe(`must be at most ${LIMITS.channels}`));
const depth = z
  .int(describe("must be a non-negative integer"))
  .min(0, describe("must be a non-negative integer"))
  .max(LIMITS.depth, describe(`must be at most ${LIMITS.depth}`));
const oddKernel = z
  .int(describe("must be an odd kernel size"))
  .min(1, describe("must be an odd kernel size"))
  .max(255, describe("must be at most 255"))
  .refine((size) => size % 2 === 1, describe("must be an odd kernel size"));

const stages = <Item extends z.ZodType>(item: Item) =>
  z
    .array(item, describe("must be a list with one number per stage"))
    .min(1, describe("must have at least one stage"))
    .max(LIMITS.stages, describe(`must have at most ${LIMITS.stages} stages`));

const oneOf = <Name extends string>(names: readonly Name[]) =>
  z.enum(names as readonly [Name, ...Name[]], describe(`must be one of ${names.map(quote).join(", ")}`));
const oneOfOrNull = <Name extends string>(names: readonly Name[]) =>
  z
    .enum(names as readonly [Name, ...Name[]], describe(`must be one of ${names.map(quote).join(", ")} or null`))
    .nullable();

const norm = oneOfOrNull(NORM_NAMES);
const act = oneOfOrNull(ACT_NAMES);

const blockName = z.string().transform((name, context): BlockSpec => {
  try {
    return parseBlockType(name);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    context.addIssue({
      code: "custom",
      message: `must be a block type: ${BLOCK_TYPE_FORMS.join(", ")}`,
    });
    return z.NEVER;
  }
});
const blockRecord = z.discriminatedUnion(
  "type",
  [
    z.strictObject({ type: z.literal("ResBlock") }),
    z.strictObject({
      type: z.literal("EViTGLU"),
      scales: z.array(oddKernel).max(16).readonly(),
    }),
    z.strictObject({ type: z.literal("EViTNormQKGLU") }),
    z.strictObject({ type: z.literal("GLUResBlock"), gateKernel: oddKernel }),
    z.strictObject({
      type: z.literal("ChannelAttentionResBlock"),
      attention: oneOf(["SEModule", "CoordAttnModule"]),
      position: z.literal([1, 2], describe("must be 1 or 2")),
    }),
    z.strictObject({
      type: z.literal("GLUMBConv"),
      expansion: z
        .number(describe("must be a positive number"))
        .positive(describe("must be a positive number"))
        .max(1024),
    }),
  ],
  describe(`must be a block type: ${BLOCK_TYPE_FORMS.join(", ")}`),
);
/** A block by official name or as a record. */
const block: z.ZodType<BlockSpec> = z.unknown().transform((value, context) => {
  const result = (typeof value === "string" ? blockName : blockRecord).safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) context.addIssue({ code: "custom", ...pickIssue(issue) });
  return z.NEVER;
});

/** One value for all stages, or a list; errors name the entry. */
function perStage<Item>(item: z.ZodType<Item>) {
  return z.unknown().transform((value, context): PerStage<Item> => {
    const parse = (entry: unknown, path: PropertyKey[]): Item => {
      const result = item.safeParse(entry);
      if (result.success) return result.data;
      for (const issue of result.error.issues) {
        context.addIssue({
          code: "custom",
          message: issue.message,
          path: [...path, ...issue.path],
        });
      }
      return z.NEVER;
    };
    return Array.isArray(value) ? value.map((entry, stage) => parse(entry, [stage])) : parse(value, []);
  });
}

function pickIssue(issue: z.core.$ZodIssue): {
  message: string;
  path: PropertyKey[];
} {
  return { message: issue.message, path: [...issue.path] };
}

// Defaults: dcae.md section 3.
const WIDTHS = [128, 256, 512, 512, 1024, 1024];
const DEPTHS = [2, 2, 2, 2, 2, 2];
const RES_BLOCK: BlockSpec = { type: "ResBlock" };

const sharedShape = {
  widthList: stages(channels).default(WIDTHS),
  depthList: stages(depth).default(DEPTHS),
  blockType: perStage(block).default(RES_BLOCK),
  norm: perStage(norm).default("trms2d"),
  act: perStage(act).default("silu"),
};

const encoderSchema = z.strictObject({
  ...sharedShape,
  downsampleBlockType: oneOf(["ConvPixelUnshuffle", "Conv"]).default("ConvPixelUnshuffle"),
  downsampleShortcut: oneOfOrNull(["averaging"]).default("averaging"),
  outNorm: norm.default(null),
  outAct: act.default(null),
  outBlockType: oneOf(["ConvLayer", "AdaptiveOutputConvLayer"]).default("ConvLayer"),
  outShortcut: oneOfOrNull(["averaging"]).default("averaging"),
});

const decoderSchema = z.strictObject({
  inBlockType: oneOf(["ConvLayer", "AdaptiveInputConvLayer"]).default("ConvLayer"),
  inShortcut: oneOfOrNull(["duplicating"]).default("duplicating"),
  ...sharedShape,
  upsampleBlockType: oneOf(["ConvPixelShuffle", "InterpolateConv"]).default("ConvPixelShuffle"),
  upsampleShortcut: oneOfOrNull(["duplicating"]).default("duplicating"),
  outNorm: norm.default("trms2d"),
  outAct: act.default("relu"),
});

const configSchema = z.strictObject({
  inChannels: channels.default(3),
  latentChannels: channels.default(32),
  headDim: channels.default(32),
  encoder: encoderSchema.prefault({}),
  decoder: decoderSchema.prefault({}),
});

/**
 * Reads the form of a configuration and fills in defaults; every per-stage list in the result has one entry per width
 * (or its own wrong length, which the checks report).
 *
 * @throws ConfigError with every field that is wrong
 */
export function readConfigInput(input: unknown, subject: string, nameOf: FieldNamer): DcAeConfig {
  const { encoder, decoder, ...rest } = parseBySchema(configSchema, input, subject, nameOf);
  return { ...rest, encoder: spread(encoder), decoder: spread(decoder) };
}

type StageKey = "blockType" | "norm" | "act";
type Spread<Part> = {
  readonly [Key in keyof Part]: Key extends StageKey ? Extract<Part[Key], readonly unknown[]> : Part[Key];
};

function spread<Part extends { widthList: readonly number[] } & Record<StageKey, unknown>>(part: Part): Spread<Part> {
  const toList = (value: unknown) => (Array.isArray(value) ? value : part.widthList.map(() => value));
  return {
    ...part,
    blockType: toList(part.blockType),
    norm: toList(part.norm),
    act: toList(part.act),
  } as Spread<Part>;
}
