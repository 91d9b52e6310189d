/**
 * The network behind FID: Inception-v3 of 2015-12-05 as TensorFlow published it, in PyTorch's names, and its two input pipelines
 * (evaluation.md section 2).
 *
 * It isn't torchvision's Inception: average pools divide by the number of real pixels, Mixed_7c pools by maximum, there
 * are 1008 classes. Names of parameters and blocks are those of `pt_inception-2015-12-05-6726825d.pth`.
 */
import {
  add,
  averagePool2d,
  concat,
  conv2d,
  createProgram,
  createScope,
  div,
  matmul,
  maxPool2d,
  mul,
  ONES,
  type Pair,
  type Program,
  reduceMean,
  relu,
  reshape,
  type Scope,
  slice,
  sqrt,
  sub,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { pictureInput, resample } from "./pictures.js";

const EPS = 1e-3;
const INCEPTION_SIZE = 299;
const INCEPTION_CLASSES = 1008;
const INCEPTION_FEATURES = 2048;

export interface InceptionOptions {
  /** Divides every width; 1 is the published network. */
  readonly widthDivisor?: number;
  /** Default 1008. */
  readonly classes?: number;
}

export interface InceptionValues {
  /** Outputs of blocks and pools by name (`Conv2d_1a_3x3`, `maxpool1`, `Mixed_5b`, ...), [N, C, h, w]. */
  readonly blocks: ReadonlyMap<string, Value>;
  /** The 2048 features behind the global mean, [N, 2048]. */
  readonly pool: Value;
  /** Logits without the bias of `fc`, as the inception score takes them, [N, 1008]. */
  readonly logits: Value;
  /** The first 7 channels of Mixed_6d's 1x1 branch, flattened as [17, 17, 7]: the 2023 features of sFID. */
  readonly spatial: Value;
}

type Layer = (scope: Scope, x: Value) => Value;

interface UnitOptions {
  readonly kernel?: number | Pair;
  readonly stride?: number;
  readonly padding?: number | Pair;
}

/**
 * Convolution, batch norm, ReLU. The norm is folded into the convolution's weights, which are constants to the engine.
 */
function unit(outChannels: number, { kernel = 1, stride = 1, padding = 0 }: UnitOptions = {}): Layer {
  const [height, width] = typeof kernel === "number" ? [kernel, kernel] : kernel;
  const [vertical, horizontal] = typeof padding === "number" ? [padding, padding] : padding;
  return (scope, x) => {
    const weight = scope.parameter("conv.weight", [outChannels, x.shape[1] as number, height, width]);
    const bn = scope.at("bn");
    const buffer = { trainable: false } as const;
    const variance = bn.parameter("running_var", [outChannels], { ...buffer, init: ONES });
    const scale = div(bn.parameter("weight", [outChannels], { init: ONES }), sqrt(add(variance, EPS)));
    const mean = bn.parameter("running_mean", [outChannels], buffer);
    const bias = sub(bn.parameter("bias", [outChannels]), mul(mean, scale));
    return relu(
      conv2d(x, mul(weight, reshape(scale, [outChannels, 1, 1, 1])), {
        bias,
        stride,
        padding: { top: vertical, left: horizontal, bottom: vertical, right: horizontal },
      }),
    );
  };
}

const averagePool = (x: Value) => averagePool2d(x, 3, { stride: 1, padding: 1, countIncludePad: false });
const shrinkingMaxPool = (x: Value) => maxPool2d(x, 3, { stride: 2 });

/** Layers under their names, one after the other. */
function chain(scope: Scope, x: Value, layers: Readonly<Record<string, Layer>>): Value {
  return Object.entries(layers).reduce((value, [name, layer]) => layer(scope.at(name), value), x);
}

/** Blocks of 35x35: 1x1, 5x5, double 3x3 and pooled branches. */
const blockA =
  (width: (channels: number) => number, pool: number): Layer =>
  (scope, x) => {
    const w = width;
    return concat(
      [
        chain(scope, x, { branch1x1: unit(w(64)) }),
        chain(scope, x, { branch5x5_1: unit(w(48)), branch5x5_2: unit(w(64), { kernel: 5, padding: 2 }) }),
        chain(scope, x, {
          branch3x3dbl_1: unit(w(64)),
          branch3x3dbl_2: unit(w(96), { kernel: 3, padding: 1 }),
          branch3x3dbl_3: unit(w(96), { kernel: 3, padding: 1 }),
        }),
        chain(scope, averagePool(x), { branch_pool: unit(w(pool)) }),
      ],
      1,
    );
  };

/** From 35x35 to 17x17. */
const blockB =
  (w: (channels: number) => number): Layer =>
  (scope, x) =>
    concat(
      [
        chain(scope, x, { branch3x3: unit(w(384), { kernel: 3, stride: 2 }) }),
        chain(scope, x, {
          branch3x3dbl_1: unit(w(64)),
          branch3x3dbl_2: unit(w(96), { kernel: 3, padding: 1 }),
          branch3x3dbl_3: unit(w(96), { kernel: 3, stride: 2 }),
        }),
        shrinkingMaxPool(x),
      ],
      1,
    );

const ROW: UnitOptions = { kernel: [1, 7], padding: [0, 3] };
const COLUMN: UnitOptions = { kernel: [7, 1], padding: [3, 0] };

/** Blocks of 17x17 with 7-wide kernels in one direction at a time; the double branch starts with the column. */
const blockC =
  (w: (channels: number) => number, inner: number): Layer =>
  (scope, x) => {
    const [c, out] = [w(inner), w(192)];
    return concat(
      [
        chain(scope, x, { branch1x1: unit(out) }),
        chain(scope, x, { branch7x7_1: unit(c), branch7x7_2: unit(c, ROW), branch7x7_3: unit(out, COLUMN) }),
        chain(scope, x, {
          branch7x7dbl_1: unit(c),
          branch7x7dbl_2: unit(c, COLUMN),
          branch7x7dbl_3: unit(c, ROW),
          branch7x7dbl_4: unit(c, COLUMN),
          branch7x7dbl_5: unit(out, ROW),
        }),
        chain(scope, averagePool(x), { branch_pool: unit(out) }),
      ],
      1,
    );
  };

/** From 17x17 to 8x8. */
const blockD =
  (w: (channels: number) => number): Layer =>
  (scope, x) =>
    concat(
      [
        chain(scope, x, { branch3x3_1: unit(w(192)), branch3x3_2: unit(w(320), { kernel: 3, stride: 2 }) }),
        chain(scope, x, {
          branch7x7x3_1: unit(w(192)),
          branch7x7x3_2: unit(w(192), ROW),
          branch7x7x3_3: unit(w(192), COLUMN),
          branch7x7x3_4: unit(w(192), { kernel: 3, stride: 2 }),
        }),
        shrinkingMaxPool(x),
      ],
      1,
    );

/** Blocks of 8x8, whose branches end in a row and a column kernel side by side. */
const blockE =
  (w: (channels: number) => number, pool: (x: Value) => Value): Layer =>
  (scope, x) => {
    const row = unit(w(384), { kernel: [1, 3], padding: [0, 1] });
    const column = unit(w(384), { kernel: [3, 1], padding: [1, 0] });
    const forked = (value: Value, first: string, second: string) => [
      row(scope.at(first), value),
      column(scope.at(second), value),
    ];
    const single = chain(scope, x, { branch3x3_1: unit(w(384)) });
    const double = chain(scope, x, {
      branch3x3dbl_1: unit(w(448)),
      branch3x3dbl_2: unit(w(384), { kernel: 3, padding: 1 }),
    });
    return concat(
      [
        chain(scope, x, { branch1x1: unit(w(320)) }),
        ...forked(single, "branch3x3_2a", "branch3x3_2b"),
        ...forked(double, "branch3x3dbl_3a", "branch3x3dbl_3b"),
        chain(scope, pool(x), { branch_pool: unit(w(192)) }),
      ],
      1,
    );
  };

/** The network on x [N, 3, H, W], scaled as the pipeline asks (about [-1, 1]), H and W at least 75 (299 as published). */
export function inception(scope: Scope, x: Value, options: InceptionOptions = {}): InceptionValues {
  const { widthDivisor = 1, classes = INCEPTION_CLASSES } = options;
  const w = (channels: number) => channels / widthDivisor;
  const pooled: Layer = (_, value) => shrinkingMaxPool(value);
  const layers: readonly (readonly [name: string, layer: Layer])[] = [
    ["Conv2d_1a_3x3", unit(w(32), { kernel: 3, stride: 2 })],
    ["Conv2d_2a_3x3", unit(w(32), { kernel: 3 })],
    ["Conv2d_2b_3x3", unit(w(64), { kernel: 3, padding: 1 })],
    ["maxpool1", pooled],
    ["Conv2d_3b_1x1", unit(w(80))],
    ["Conv2d_4a_3x3", unit(w(192), { kernel: 3 })],
    ["maxpool2", pooled],
    ["Mixed_5b", blockA(w, 32)],
    ["Mixed_5c", blockA(w, 64)],
    ["Mixed_5d", blockA(w, 64)],
    ["Mixed_6a", blockB(w)],
    ["Mixed_6b", blockC(w, 128)],
    ["Mixed_6c", blockC(w, 160)],
    ["Mixed_6d", blockC(w, 160)],
    ["Mixed_6e", blockC(w, 192)],
    ["Mixed_7a", blockD(w)],
    ["Mixed_7b", blockE(w, averagePool)],
    ["Mixed_7c", blockE(w, (value) => maxPool2d(value, 3, { stride: 1, padding: 1 }))],
  ];
  const blocks = new Map<string, Value>();
  let value = x;
  for (const [name, layer] of layers) {
    value = layer(scope.at(name), value);
    blocks.set(name, value);
  }
  const pool = reduceMean(value, [2, 3]);
  const weight = scope.at("fc").parameter("weight", [classes, w(INCEPTION_FEATURES)]);
  // The 1x1 branch comes first in a block's channels, and there is no other use of its first 7.
  const branch = slice(blocks.get("Mixed_6d") as Value, 1, 0, Math.min(7, w(192)));
  const spatial = transpose(branch, [0, 2, 3, 1]);
  return { blocks, pool, logits: matmul(pool, transpose(weight)), spatial: reshape(spatial, [x.shape[0] ?? 1, -1]) };
}

/**
 * - `pytorch-fid`: 2 (v / 255) - 1, bilinear with half-pixel centers (the official evaluation, pytorch-fid)
 * - `tf1`: (v - 128) / 128, TensorFlow 1's bilinear (torch-fidelity, ADM's evaluator)
 *
 * Neither is antialiased, even where pictures shrink.
 */
export type InceptionPipeline = "pytorch-fid" | "tf1";

/** What a program gives; `taps` are the means of the intermediate blocks that pytorch-fid offers. */
export type InceptionOutput = "pool" | "logits" | "spatial" | "taps";

const TAPS = { feat_64: "maxpool1", feat_192: "maxpool2", feat_768: "Mixed_6e" } as const;

function scaled(pictures: Value, pipeline: InceptionPipeline): Value {
  return pipeline === "tf1" ? mul(sub(pictures, 128), 1 / 128) : sub(mul(pictures, 2 / 255), 1);
}

function outputsOf({ blocks, pool, logits, spatial }: InceptionValues, output: InceptionOutput): Record<string, Value> {
  if (output === "pool") return { pool };
  if (output === "logits") return { logits };
  if (output === "spatial") return { spatial };
  const taps = Object.entries(TAPS).map(([name, block]) => [name, reduceMean(blocks.get(block) as Value, [2, 3])]);
  return Object.fromEntries(taps);
}

export interface InceptionProgramOptions {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly pipeline: InceptionPipeline;
  readonly outputs: readonly InceptionOutput[];
}

/** Input `pictures` uint8 [N, H, W, 3]; outputs under the names of `outputs` (`feat_64`, `feat_192`, `feat_768` for taps). */
export function inceptionProgram({ count, height, width, pipeline, outputs }: InceptionProgramOptions): Program {
  const pictures = pictureInput("pictures", count, height, width);
  const resized = resample(scaled(pictures, pipeline), INCEPTION_SIZE, INCEPTION_SIZE, kindOf(pipeline));
  const values = inception(createScope(), resized);
  const named = outputs.map((output) => outputsOf(values, output));
  return createProgram(`inception (${pipeline})`, Object.assign({}, ...named));
}

function kindOf(pipeline: InceptionPipeline): "bilinear" | "bilinear-tf1" {
  return pipeline === "tf1" ? "bilinear-tf1" : "bilinear";
}
