/**
 * A training as data: model, data, phases. Recipes (the package's folder `configs/`) and files of users have the same form, checked here.
 *
 * Defaults are those of training.md: published values where there are any, otherwise its choices.
 */
import { z } from "zod";
import { CROPS, DECODE_WAYS } from "../data/picture-recipe.js";
import { OPTIMIZERS, type OptimizerKind } from "../optimizer/optimizers.js";
import { AUGMENTATIONS } from "../phases/diff-augment.js";
import { SCENE_CLASSES } from "../scenes/draw-scene.js";
import { parseConfig } from "./parse-config.js";

const count = z.int().min(1);
/** Computed with in float32, whose largest number is 3.4e38. */
const rate = z.number().min(0).max(3e38);
/** Sides and batches beyond this have more pixels than a tensor can. */
const extent = count.max(2 ** 20);

/** Updates, or a share of those of the run. */
const updatesError = 'must be a whole number of updates, or a share of the run as in "60%"';
const share = z.string().regex(/^(100|\d{1,2}(\.\d+)?)%$/, updatesError);
const updates = z.union([z.int().min(0), share], { error: updatesError });
const warmup = { lr: rate, warmupLr: rate, warmupSteps: updates };

/** Learning rates over a run; ends that are left out are those of the run (see `resolveSchedule`). */
const schedule = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("constant"), lr: rate }),
  z.strictObject({ kind: z.literal("constant-warmup"), ...warmup }),
  z.strictObject({ kind: z.literal("cosine-warmup"), ...warmup, decaySteps: z.array(count).min(1).optional() }),
  z.strictObject({
    kind: z.literal("warmup-stable-decay"),
    ...warmup,
    stableSteps: updates,
    totalSteps: count.optional(),
  }),
  z.strictObject({ kind: z.literal("cosine"), lr: rate, maxSteps: count.optional() }),
]);

const everyOptimizer = {
  schedule,
  weightDecay: rate.default(0),
  /** Parts of names that exempt from decay, "*" for anything within; default: those of the official trainer (`NO_DECAY`). */
  noDecay: z.array(z.string().min(1)).optional(),
  /** Largest norm of all gradients together; null doesn't clip. */
  clipNorm: z.number().positive().nullable().default(null),
};
type EveryOptimizer = z.ZodObject<typeof everyOptimizer>;

/** What configurations mean that name no method. */
const DEFAULT_OPTIMIZER = "adamw" satisfies OptimizerKind;
type KindOf<K extends OptimizerKind> = K extends typeof DEFAULT_OPTIMIZER ? { kind?: K | undefined } : { kind: K };
type SettingsOf<K extends OptimizerKind> = z.ZodObject<(typeof OPTIMIZERS)[K]["settings"]>;

/** A method of optimization as data: AdamW unless `kind` says otherwise. */
export type MethodConfig = {
  [K in OptimizerKind]: KindOf<K> & z.output<EveryOptimizer> & z.output<SettingsOf<K>>;
}[OptimizerKind];
type MethodInput = {
  [K in OptimizerKind]: KindOf<K> & z.input<EveryOptimizer> & z.input<SettingsOf<K>>;
}[OptimizerKind];

/** What an optimizer has beside its method. @returns a schema; made of the table's rows, whose types TypeScript can't follow through a list */
function methodSchema<Output, Input>(more: z.ZodRawShape): z.ZodType<Output, Input> {
  const schemas = Object.entries(OPTIMIZERS).map(([kind, { settings }]) => {
    const name = z.literal(kind);
    const chosen = kind === DEFAULT_OPTIMIZER ? name.optional() : name;
    return z.strictObject({ kind: chosen, ...everyOptimizer, ...settings, ...more });
  });
  return z.discriminatedUnion("kind", schemas as never) as unknown as z.ZodType<Output, Input>;
}

const groupShape = {
  /** Of its state and its metrics. */
  name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/),
  /** Names or beginnings of names, "*" for anything. */
  parameters: z.array(z.string().min(1)).min(1),
};
type Group = z.output<z.ZodObject<typeof groupShape>>;
const groupSchema = methodSchema<MethodConfig & Group, MethodInput & Group>(groupShape);

/** An optimizer as data, and parameters that have one of their own. */
export type OptimizerConfig = MethodConfig & { groups?: (MethodConfig & Group)[] | undefined };
export const optimizerSchema = methodSchema<
  OptimizerConfig,
  MethodInput & { groups?: (MethodInput & Group)[] | undefined }
>({ groups: z.array(groupSchema).min(1).optional() });

const average = {
  decay: z.number().gt(0).lt(1),
  warmupSteps: z.int().min(0).default(2000),
};

/** Averages of the weights: those that are evaluated, and go on as the model; and others that are kept beside them. */
export const emaSchema = z
  .strictObject({ ...average, others: z.array(z.strictObject(average)).min(1).optional() })
  .refine(
    ({ decay, others = [] }) => new Set([decay, ...others.map((other) => other.decay)]).size === others.length + 1,
    {
      message: "two averages have the same decay",
      path: ["others"],
    },
  );
export type EmaConfig = z.output<typeof emaSchema>;

/** How many counts a rule always takes. */
const ALWAYS = { none: 0, largest: 1, "smallest-and-largest": 2 } as const;

/** How many of the first latent channels an update sees (adaptive models; training.md section 12). */
export const channelsSchema = z
  .strictObject({
    /** The counts to draw from. */
    counts: z
      .array(extent)
      .min(1)
      .refine((counts) => counts.every((value, i) => i === 0 || value > (counts[i - 1] as number)), {
        message: "must ascend",
      }),
    /** Counts per update; its loss is the mean of theirs. */
    draw: count.max(1024).default(1),
    /** Which of them are the same at every update; the others are drawn at random. */
    always: z.enum(Object.keys(ALWAYS) as [keyof typeof ALWAYS, ...(keyof typeof ALWAYS)[]]).default("none"),
  })
  .refine(({ draw, always }) => draw >= ALWAYS[always], {
    message: "must be at least as many as are always there",
    path: ["draw"],
  });
export type ChannelsConfig = z.output<typeof channelsSchema>;

const weight = rate.optional();
const source = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("folder"), path: z.string().min(1), weight }),
  z.strictObject({ kind: z.literal("shards"), path: z.string().min(1), weight }),
  z.strictObject({
    kind: z.literal("scenes"),
    seed: z.int().min(0).default(0),
    count: count.optional(),
    classes: z
      .array(z.enum(SCENE_CLASSES as readonly [string, ...string[]]))
      .min(1)
      .optional(),
    weight,
  }),
]);

const data = z.strictObject({
  sources: z.array(source).min(1),
  shuffle: z.boolean().default(true),
  crop: z.enum(CROPS).default("center"),
  flip: z.boolean().default(false),
  /** "exact" are Pillow's pixels, "fast" libvips', which decodes large pictures at a part of their size. Default: "exact". */
  decode: z.enum(DECODE_WAYS).optional(),
  /** Pictures with a shorter side are left out; "size" is that of the phase. Default: none is. */
  minSide: z.union([extent, z.literal("size")], { error: 'must be a number of pixels, or "size"' }).optional(),
  /** Different unreadable pictures after which a run stops. */
  maxCorrupt: z.int().min(0).default(100),
  /** Batches made ahead. */
  prefetch: z.int().min(0).default(2),
  /** Threads that make pictures. */
  workers: z.int().min(0).max(64).optional(),
});

const trains = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("phase"),
    phase: z.union([z.literal(1), z.literal(2), z.literal(3)]),
    /** Phase 2: 0 is the narrow set, 1 the default. */
    stagesEachSide: z.int().min(0).default(1),
    /** Phase 3: 0 is the narrow set, 1 the default. */
    decoderStages: z.int().min(0).default(1),
  }),
  /** Names or beginnings of names, "*" for anything. */
  z.strictObject({ kind: z.literal("names"), names: z.array(z.string().min(1)).min(1) }),
]);

const gan = z.strictObject({
  /** `disc_weight`. */
  weight: rate.default(0.5),
  adaptive: z.boolean().default(true),
  /** Update (from 0) at which the adversarial losses set in. */
  start: z.int().min(0).default(0),
  /** `disc_factor`: scales both adversarial losses from `start` on, beside the weight. */
  factor: rate.default(1),
  loss: z.enum(["hinge", "vanilla"]).default("hinge"),
  schedule: z.enum(["both", "alternate"]).default("both"),
  width: count.default(64),
  layers: count.default(3),
  /** What is done to pictures and reconstructions before the discriminator sees them (DiffAugment), in this order. */
  augment: z.array(z.enum(AUGMENTATIONS)).min(1).optional(),
  optimizer: optimizerSchema,
});

/** A side of pictures, and how often it comes in proportion to the others. */
export interface SizeShare {
  readonly size: number;
  readonly share: number;
}

/** The sides of a phase's pictures with their shares. */
export function sidesOf(phase: {
  readonly size: number;
  readonly sizes?: readonly SizeShare[] | undefined;
}): readonly SizeShare[] {
  return phase.sizes ?? [{ size: phase.size, share: 1 }];
}

const phase = z
  .strictObject({
    /** Also the name of its folder. */
    name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/),
    trains,
    /** Side of the pictures. */
    size: extent,
    /** Several sides in one phase, drawn for each update in proportion to their shares; evaluated on pictures of `size`. */
    sizes: z
      .array(z.strictObject({ size: extent, share: z.number().positive() }))
      .min(2)
      .optional(),
    /** Pictures per batch; an update sees `batch * accumulate`. */
    batch: extent,
    accumulate: extent.default(1),
    steps: count,
    /** Adaptive models: train the first channels of latents, drawn numbers of them; null trains with all. */
    channels: channelsSchema.nullable().default(null),
    l1Weight: rate.default(1),
    /** Of LPIPS, or of the distance that `perceptual` names in its place. */
    lpipsWeight: rate.default(1),
    gan: gan.nullable().default(null),
    optimizer: optimizerSchema,
    ema: emaSchema.nullable().default(null),
    /** What the next phase starts from. */
    carry: z.enum(["weights", "ema"]).default("weights"),
    /** Keep few activations and compute the others again. */
    recompute: z.boolean().default(false),
    /** Take the forms that are faster on a CPU, where the engine is one: about twice the speed, more memory. */
    optimize: z.boolean().default(true),
    checkpointEvery: count.default(1000),
    keep: count.default(3),
    evaluateEvery: count.default(1000),
    /** The metric of evaluations that `best` goes by, as "psnr" or "lpips_c8". Default: the loss. */
    best: z.string().min(1).optional(),
    logEvery: count.default(1),
  })
  .refine(({ carry, ema }) => carry !== "ema" || ema !== null, { message: 'carry "ema" needs `ema`', path: ["carry"] })
  .refine(({ size, sizes }) => sizes === undefined || sizes.some((choice) => choice.size === size), {
    message: "`size`, on which the phase is evaluated, must be one of them",
    path: ["sizes"],
  })
  .refine(({ sizes = [] }) => new Set(sizes.map(({ size }) => size)).size === sizes.length, {
    message: "two of them are the same",
    path: ["sizes"],
  })
  // Each layer halves the sides, and the two convolutions behind them need 3 positions.
  .refine(
    ({ gan: adversarial, ...phase }) =>
      adversarial === null || sidesOf(phase).every(({ size }) => size >= 3 * 2 ** adversarial.layers),
    { message: "too small for the discriminator, which needs 3 * 2^layers pixels", path: ["size"] },
  );

/** What a training came to. */
export const measuredSchema = z.strictObject({
  /** What it was measured on: hardware, commit, data. */
  on: z.string(),
  seconds: z.number(),
  metrics: z.record(z.string(), z.number()),
});

/** Hub id, folder or file, or one of these with the place inside of it. */
const checkpoint = z.union([
  z.string().min(1),
  z.strictObject({
    model: z.string().min(1),
    revision: z.string().min(1).optional(),
    subfolder: z.string().min(1).optional(),
  }),
]);

/** Distillation: the latents are to be those of another autoencoder, whose weights stay as they are. */
const teacher = z.strictObject({
  init: checkpoint,
  /** What it is: the content of its config.json, in any format that core reads. */
  config: z.record(z.string(), z.unknown()),
  /** Weight of the mean square of the latents' difference, in units of their root mean square, where the encoder trains. */
  latentWeight: rate.default(1),
  /** Weight of the mean difference to the teacher's decodes, beside that to the pictures. */
  decodesWeight: rate.default(0),
  /** The scaling factor that the student's latents are to have: they are the teacher's, times its own factor over this. Default: its own. */
  scalingFactor: z.number().positive().optional(),
});

const lpipsFiles = z.strictObject({ trunk: z.string().optional(), linear: z.string().optional() });

/** See `featureDistance` of core. */
const featureNetwork = z.strictObject({
  /** A Keras model of TensorFlow.js: the folder with its model.json, or that file. */
  network: z.string().min(1),
  /** Default: the last of each resolution. */
  layers: z.array(z.string().min(1)).min(1).optional(),
  /** The values that the network takes for black and white. Default: 0 and 1. */
  range: z.tuple([z.number(), z.number()]).optional(),
});

const perceptualSchema = z.union([z.literal("none"), lpipsFiles, featureNetwork], {
  error: 'must be "none", the files of LPIPS { trunk, linear }, or a network { network, layers, range }',
});

/** The network of a perceptual loss that isn't LPIPS. */
export function networkOf(perceptual: z.output<typeof perceptualSchema>): z.output<typeof featureNetwork> | undefined {
  return perceptual !== "none" && "network" in perceptual ? perceptual : undefined;
}

const trainingConfigSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/),
    about: z.string(),
    /** How to run it. */
    command: z.string().optional(),
    /** How long it should take, and where; null where nobody has tried. */
    expectedTime: z.string().nullable().default(null),
    /** What came out; null: not yet measured. */
    results: measuredSchema.nullable().default(null),
    /** A preset's name, or a DC-AE configuration as `resolveDcAeConfig` takes it. */
    model: z.union([z.string().min(1), z.record(z.string(), z.unknown())]),
    /** Checkpoint to start from; null trains from scratch. */
    init: checkpoint.nullable().default(null),
    teacher: teacher.nullable().default(null),
    seed: z.int().min(0).default(0),
    data,
    /** Pictures to evaluate on. Default: scenes that training doesn't see, or the first pictures of `data`. */
    validation: z.strictObject({ sources: z.array(source).min(1).optional(), count: count.default(32) }).prefault({}),
    /**
     * Distances of sets of pictures to compute at each evaluation, beside the losses: "rfid" (reconstructions to their originals),
     * "fid=REFERENCE", "rfd:NETWORK", "fd:NETWORK=REFERENCE".
     */
    evaluate: z.array(z.string().min(1)).default([]),
    /**
     * The perceptual loss: "none"; LPIPS, by its files ({} looks at the environment; see `openLpipsWeights`); or the distance in the
     * features of another network.
     */
    perceptual: perceptualSchema.default({}),
    phases: z.array(phase).min(1),
  })
  .refine(({ phases }) => new Set(phases.map(({ name }) => name)).size === phases.length, {
    message: "two phases have the same name",
    path: ["phases"],
  })
  .refine(
    ({ perceptual }) => {
      const [black, white] = networkOf(perceptual)?.range ?? [0, 1];
      return black < white;
    },
    { message: "must be the value of black and a larger one, of white", path: ["perceptual", "range"] },
  );

/** A checked training with all defaults filled in. */
export type TrainingConfig = z.output<typeof trainingConfigSchema>;
/** What may be written: everything with a default can be left out. */
export type TrainingConfigInput = z.input<typeof trainingConfigSchema>;
export type ScheduleConfig = OptimizerConfig["schedule"];
/** One phase of a training. */
export type TrainingPhase = TrainingConfig["phases"][number];
export type CheckpointSource = z.output<typeof checkpoint>;

/** What names a checkpoint, and the place inside of it. */
export function placeOfCheckpoint(source: CheckpointSource): Exclude<CheckpointSource, string> {
  return typeof source === "string" ? { model: source } : source;
}

export type TeacherConfig = z.output<typeof teacher>;
export type DataConfig = TrainingConfig["data"];
export type DataSourceConfig = DataConfig["sources"][number];

/**
 * Checks a training and fills in what it leaves out.
 *
 * @param source for messages: the file
 * @throws ConfigError naming each wrong field
 */
export function parseTrainingConfig(input: unknown, source = "training config"): TrainingConfig {
  return parseConfig(trainingConfigSchema, input, source);
}
