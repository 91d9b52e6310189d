/**
 * A Keras model (checkpoint/tfjs) as a graph whose layers give features of pictures, so that losses can be taken in them: convolutions,
 * pools, norms, activations, sums and concatenations. The head of a classifier behind them isn't looked at.
 *
 * A batch norm right behind a convolution becomes a part of its weights, since both stay what they are. Keras computes in NHWC, this in
 * NCHW; its "same" padding depends on the size and puts the odd row or column at the end.
 */
import { quoted, shownValue } from "../checkpoint/json-text.js";
import type { KerasLayer, LayersModel } from "../checkpoint/tfjs/layers-model.js";
import type { WeightEntry, Weights } from "../checkpoint/weights.js";
import { CheckpointError, ConfigError, ShapeError } from "../errors.js";
import { leakyRelu } from "../graph/ops/composites.js";
import { add, channelAffine, minimum, mul, relu, sigmoid, tanh } from "../graph/ops/elementwise.js";
import { concat, pad } from "../graph/ops/layout.js";
import { averagePool2d, conv2d, maxPool2d } from "../graph/ops/linear.js";
import type { Scope } from "../graph/scope.js";
import { Tensor } from "../graph/tensor.js";
import type { Padding2d, Pair, Value } from "../graph/value.js";

/** A trained network whose layers give features of pictures. */
export interface FeatureNetwork {
  /** For messages: its file. */
  readonly source: string;
  /** Layers that features can be taken from, in order. */
  readonly layers: readonly string[];
  /** What `features` takes as parameters. Closes the network's file. */
  readonly weights: Weights;
  /**
   * Of each resolution the last layer that everything behind it goes through: a sum, a concatenation or an activation.
   *
   * @throws ConfigError where a layer isn't known, or there is none that could give features
   */
  lastLayers(): readonly string[];
  /**
   * Outputs [N, C, h, w] of layers for x [N, 3, H, W] in the network's own range; parameters below `scope`, which don't train.
   *
   * @throws ConfigError for a layer that isn't there or gives no features; ShapeError for pictures that are too small for one
   */
  features(scope: Scope, x: Value, layers: readonly string[]): Value[];
}

/** What becomes of a layer, or of a convolution and its norm. */
interface Node {
  readonly name: string;
  readonly inputs: readonly string[];
  /** By how much it lowers the resolution. */
  readonly stride: number;
  /** Whether a block may end here. */
  readonly ends: boolean;
  readonly build: (scope: Scope, inputs: readonly Value[]) => Value;
}

/** Layers behind which there is no picture any more: features end in front of them. */
const HEADS = ["Flatten", "Dense", "Reshape", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "Softmax"];

/**
 * The graph of a model.
 *
 * @throws CheckpointError where the weights or settings of a layer aren't what its class has
 */
export function layersNetwork(model: LayersModel): FeatureNetwork {
  const { source, layers } = model;
  const nodes = new Map<string, Node>();
  const entries = new Map<string, WeightEntry>();
  /** Layers that give no features, and why. */
  const refused = new Map<string, string>();
  const unknown: KerasLayer[] = [];
  const norms = new Set<string>();
  const users = (name: string) => layers.filter(({ inputs }) => inputs.includes(name));
  for (const layer of layers) {
    const { name, kind, inputs } = layer;
    if (norms.has(name)) continue;
    const behind = inputs.find((input) => refused.has(input));
    const kinds: Readonly<Record<string, MakeNode>> = KINDS;
    const make = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
    if (behind !== undefined || HEADS.includes(kind)) {
      refused.set(
        name,
        behind === undefined ? `is a ${kind}, which has no positions` : `comes behind ${quoted(behind)}`,
      );
      continue;
    }
    if (make === undefined) {
      unknown.push(layer);
      refused.set(name, `is a ${kind}, which isn't known here`);
      continue;
    }
    const [next, ...others] = users(name);
    const norm = joinsNorm(layer) && next?.kind === "BatchNormalization" && others.length === 0 ? next : undefined;
    const made = make(reading(model, layer), norm && reading(model, norm));
    for (const entry of made.entries ?? []) entries.set(entry.name, entry);
    const as = norm?.name ?? name;
    nodes.set(as, { name: as, inputs, stride: made.stride ?? 1, ends: made.ends ?? false, build: made.build });
    if (norm !== undefined) norms.add(norm.name);
  }
  for (const norm of norms) {
    const [joined] = layers.find(({ name }) => name === norm)?.inputs ?? [];
    if (joined !== undefined) refused.set(joined, `is one with ${quoted(norm)} behind it, which can be named`);
  }

  const lastLayers = () => {
    const [first] = unknown;
    if (first !== undefined) {
      throw new ConfigError(`${source}: the layer ${quoted(first.name)} is a ${first.kind}, which isn't known here`, {
        hint: `Name layers in front of it. Known are ${Object.keys(KINDS).join(", ")}.`,
      });
    }
    const last = lastOfEach([...nodes.values()]);
    if (last.length === 0) throw new ConfigError(`${source}: no layer gives features of pictures`);
    return last;
  };

  return {
    source,
    layers: [...nodes.keys()],
    weights: { source, entries, close: () => model.weights.close() },
    lastLayers,
    features(scope, x, names) {
      const missing = names.find((name) => !nodes.has(name));
      if (missing !== undefined) {
        const reason = refused.get(missing);
        throw new ConfigError(
          reason === undefined
            ? `${source}: there is no layer ${quoted(missing)}`
            : `${source}: the layer ${quoted(missing)} ${reason}`,
          { hint: `As features serve ${lastOfEach([...nodes.values()]).join(", ")}, and others.` },
        );
      }
      const needed = withInputs(nodes, names);
      const values = new Map<string, Value>();
      for (const { name, inputs, build } of nodes.values()) {
        if (!needed.has(name)) continue;
        const from = inputs.length === 0 ? [x] : inputs.map((input) => values.get(input) as Value);
        values.set(name, build(scope, from));
      }
      return names.map((name) => values.get(name) as Value);
    },
  };
}

function withInputs(nodes: ReadonlyMap<string, Node>, names: readonly string[]): ReadonlySet<string> {
  const needed = new Set<string>();
  const waiting = [...names];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (needed.has(name)) continue;
    needed.add(name);
    waiting.push(...(nodes.get(name)?.inputs ?? []));
  }
  return needed;
}

/** By resolution: the last node that ends a block and that no connection passes by. */
function lastOfEach(nodes: readonly Node[]): string[] {
  const position = new Map(nodes.map(({ name }, i) => [name, i]));
  /** The furthest node that takes something from in front of, or at, each node. */
  const furthest = nodes.map((_, i) => i);
  const strides: number[] = [];
  for (const [i, { inputs, stride }] of nodes.entries()) {
    const from = inputs.map((input) => position.get(input) as number);
    for (const j of from) furthest[j] = Math.max(furthest[j] as number, i);
    strides.push(stride * Math.max(1, ...from.map((j) => strides[j] as number)));
  }
  const last = new Map<number, string>();
  let reached = 0;
  for (const [i, { name, ends }] of nodes.entries()) {
    if (ends && reached <= i) last.set(strides[i] as number, name);
    reached = Math.max(reached, furthest[i] as number);
  }
  return [...last.values()];
}

// Layers.

/** A layer with the readings that its class needs. */
interface Reading {
  readonly name: string;
  /** @throws CheckpointError when there is no such weight, or it has another rank */
  weight(kind: string, rank: number): WeightEntry;
  flag(key: string, otherwise: boolean): boolean;
  number(key: string, otherwise: number): number;
  pair(key: string): Pair;
  get(key: string): unknown;
  refuse(key: string): CheckpointError;
}

interface Made {
  readonly build: Node["build"];
  readonly stride?: number;
  readonly ends?: boolean;
  readonly entries?: readonly WeightEntry[];
}

/** @param norm behind a convolution */
type MakeNode = (layer: Reading, norm?: Reading) => Made;

function reading({ source, weights }: LayersModel, { name, kind, config }: KerasLayer): Reading {
  const of = `${source}: the layer ${quoted(name)} (${kind})`;
  const get = (key: string) => config[key];
  const refuse = (key: string) =>
    new CheckpointError(`${of} has ${key} ${shownValue(get(key))}, which isn't known here`);
  return {
    name,
    get,
    refuse,
    weight(weight, rank) {
      const entry = weights.entries.get(`${name}/${weight}`);
      if (entry === undefined)
        throw new CheckpointError(`${of}: the file has no weight ${quoted(`${name}/${weight}`)}`);
      if (entry.shape.length === rank) return entry;
      throw new CheckpointError(`${of}: "${weight}" should have ${rank} sides and is [${entry.shape.join(", ")}]`);
    },
    flag: (key, otherwise) => (typeof get(key) === "boolean" ? (get(key) as boolean) : otherwise),
    number(key, otherwise) {
      const value = get(key) ?? otherwise;
      if (typeof value !== "number" || !Number.isFinite(value)) throw refuse(key);
      return value;
    },
    pair(key) {
      const value = get(key);
      const both: unknown = typeof value === "number" ? [value, value] : value;
      const sizes =
        Array.isArray(both) && both.length === 2 && both.every((size) => Number.isInteger(size) && size > 0);
      if (!sizes) throw refuse(key);
      return both as unknown as Pair;
    },
  };
}

const ACTIVATIONS: Readonly<Record<string, (x: Value) => Value>> = {
  linear: (x) => x,
  relu,
  relu6: (x) => minimum(relu(x), 6),
  sigmoid,
  tanh,
  swish: (x) => mul(x, sigmoid(x)),
  silu: (x) => mul(x, sigmoid(x)),
};

function activation(layer: Reading): (x: Value) => Value {
  const name = layer.get("activation") ?? "linear";
  const found = typeof name === "string" && Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (found === undefined) throw layer.refuse("activation");
  return found;
}

const isLinear = (value: unknown) => (value ?? "linear") === "linear";

/** Convolutions without an activation in front of what is behind them. */
const joinsNorm = ({ kind, config }: KerasLayer) =>
  (kind === "Conv2D" || kind === "DepthwiseConv2D") && isLinear(config.activation);

function checkLastAxis(layer: Reading): void {
  const axis = layer.get("axis") ?? -1;
  const [only] = Array.isArray(axis) ? axis : [axis];
  if (only !== 3 && only !== -1) throw layer.refuse("axis");
}

interface Window {
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly dilation: Pair;
}

/** The padding of a window on x, for its size. @throws ShapeError where nothing would be left */
function windowPadding(layer: Reading): (x: Value, window: Window) => Padding2d {
  const kind = layer.get("padding") ?? "valid";
  if (kind !== "valid" && kind !== "same") throw layer.refuse("padding");
  if ((layer.get("data_format") ?? "channels_last") !== "channels_last") throw layer.refuse("data_format");
  return (x, { kernel, stride, dilation }) => {
    const [top, bottom, left, right] = ([0, 1] as const).flatMap((axis) => {
      const size = x.shape[2 + axis];
      if (typeof size !== "number") throw new ShapeError(`${layer.name}: needs pictures of a fixed size`);
      const reach = (kernel[axis] - 1) * dilation[axis] + 1;
      if (kind === "valid" && size >= reach) return [0, 0];
      if (kind === "valid") {
        throw new ShapeError(
          `the layer ${quoted(layer.name)} needs ${reach} rows and columns, and ${size} are left of these pictures`,
          {
            hint: "Take larger pictures, or layers in front of it.",
          },
        );
      }
      const total = Math.max(0, (Math.ceil(size / stride[axis]) - 1) * stride[axis] + reach - size);
      return [Math.floor(total / 2), Math.ceil(total / 2)];
    }) as [number, number, number, number];
    return { top, bottom, left, right };
  };
}

/** y = scale * x + shift, by channel: what a trained norm does. */
async function affineOf(norm: Reading): Promise<{ readonly scale: Float64Array; readonly shift: Float64Array }> {
  const read = async (kind: string) => (await norm.weight(kind, 1).read()).toFloat32();
  const [mean, variance] = [await read("moving_mean"), await read("moving_variance")];
  const gamma = norm.flag("scale", true) ? await read("gamma") : undefined;
  const beta = norm.flag("center", true) ? await read("beta") : undefined;
  const eps = norm.number("epsilon", 1e-3);
  const scale = Float64Array.from(variance, (value, c) => (gamma?.[c] ?? 1) / Math.sqrt(value + eps));
  return { scale, shift: scale.map((value, c) => (beta?.[c] ?? 0) - value * (mean[c] as number)) };
}

/** @throws CheckpointError when the norm has not `channels` of them */
function checkNorm(norm: Reading, channels: number): void {
  checkLastAxis(norm);
  const weights = ["moving_mean", "moving_variance"];
  if (norm.flag("scale", true)) weights.push("gamma");
  if (norm.flag("center", true)) weights.push("beta");
  for (const kind of weights) {
    const { name, shape } = norm.weight(kind, 1);
    if (shape[0] !== channels) {
      throw new CheckpointError(`${quoted(name)} has ${shape[0]} channels, and ${channels} are in front of it`);
    }
  }
}

/** Keras' kernel [h, w, I, O] as [O, I, h, w]; that of a depthwise convolution [h, w, I, M] as [I * M, 1, h, w]. */
const convolution =
  (depthwise: boolean): MakeNode =>
  (layer, norm) => {
    const kernel = layer.weight(depthwise ? "depthwise_kernel" : "kernel", 4);
    const [height, width, inChannels, last] = kernel.shape as [number, number, number, number];
    const outChannels = depthwise ? inChannels * last : last;
    const biased = layer.flag("use_bias", true);
    if (biased && layer.weight("bias", 1).shape[0] !== outChannels) throw layer.refuse("bias");
    if (norm !== undefined) checkNorm(norm, outChannels);
    const shape = depthwise ? [outChannels, 1, height, width] : [last, inChannels, height, width];
    const hasBias = biased || norm !== undefined;
    const place = norm?.name ?? layer.name;
    const weight: WeightEntry = {
      ...{ name: `${place}.weight`, dtype: "float32", shape },
      async read() {
        const from = (await kernel.read()).toFloat32();
        const scale = norm && (await affineOf(norm)).scale;
        const values = new Float32Array(from.length);
        let i = 0;
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++) {
            for (let c = 0; c < inChannels; c++) {
              for (let k = 0; k < last; k++, i++) {
                const [o, row] = depthwise ? [c * last + k, c * last + k] : [k, k * inChannels + c];
                values[(row * height + y) * width + x] = (from[i] as number) * (scale?.[o] ?? 1);
              }
            }
          }
        }
        return Tensor.float32(values, shape);
      },
    };
    const bias: WeightEntry = {
      ...{ name: `${place}.bias`, dtype: "float32", shape: [outChannels] },
      async read() {
        const own = biased ? (await layer.weight("bias", 1).read()).toFloat32() : new Float32Array(outChannels);
        const { scale, shift } = norm === undefined ? {} : await affineOf(norm);
        return Tensor.float32(
          own.map((value, c) => value * (scale?.[c] ?? 1) + (shift?.[c] ?? 0)),
          [outChannels],
        );
      },
    };
    const stride = layer.pair("strides");
    const dilation = layer.get("dilation_rate") === undefined ? ([1, 1] as const) : layer.pair("dilation_rate");
    const groups = depthwise ? inChannels : layer.number("groups", 1);
    const padding = windowPadding(layer);
    const activate = activation(layer);
    return {
      stride: Math.max(...stride),
      ends: !isLinear(layer.get("activation")),
      entries: hasBias ? [weight, bias] : [weight],
      build(scope, [x]) {
        const at = scope.at(place);
        const window = { kernel: [height, width], stride, dilation } as const;
        return activate(
          conv2d(x as Value, at.parameter("weight", shape, { trainable: false }), {
            bias: hasBias ? at.parameter("bias", [outChannels], { trainable: false }) : undefined,
            ...{ stride, dilation, groups, padding: padding(x as Value, window) },
          }),
        );
      },
    };
  };

const pool =
  (kind: "max" | "average"): MakeNode =>
  (layer) => {
    const kernel = layer.pair("pool_size");
    const stride = (layer.get("strides") ?? null) === null ? kernel : layer.pair("strides");
    const padding = windowPadding(layer);
    return {
      stride: Math.max(...stride),
      build(_, [x]) {
        const options = { stride, padding: padding(x as Value, { kernel, stride, dilation: [1, 1] }) };
        return kind === "max"
          ? maxPool2d(x as Value, kernel, options)
          : averagePool2d(x as Value, kernel, { ...options, countIncludePad: false });
      },
    };
  };

/** A norm that isn't right behind a convolution. */
const lonelyNorm: MakeNode = (norm) => {
  const [channels] = norm.weight("moving_mean", 1).shape as [number];
  checkNorm(norm, channels);
  const part = (name: "weight" | "bias", of: "scale" | "shift"): WeightEntry => ({
    ...{ name: `${norm.name}.${name}`, dtype: "float32", shape: [channels] },
    read: async () => Tensor.float32(Float32Array.from((await affineOf(norm))[of]), [channels]),
  });
  return {
    entries: [part("weight", "scale"), part("bias", "shift")],
    build(scope, [x]) {
      const [weight, bias] = (["weight", "bias"] as const).map((name) =>
        scope.at(norm.name).parameter(name, [channels], { trainable: false }),
      ) as [Value, Value];
      return channelAffine(x as Value, weight, bias);
    },
  };
};

const idle: MakeNode = () => ({ build: (_, [x]) => x as Value });

/** A row for each class of layers. */
const KINDS = {
  InputLayer: idle,
  Conv2D: convolution(false),
  DepthwiseConv2D: convolution(true),
  BatchNormalization: lonelyNorm,
  Activation: (layer) => ({
    ends: !isLinear(layer.get("activation")),
    build: (_, [x]) => activation(layer)(x as Value),
  }),
  ReLU(layer) {
    if (layer.number("threshold", 0) !== 0) throw layer.refuse("threshold");
    const slope = layer.number("negative_slope", 0);
    const limit = layer.get("max_value") ?? null;
    const most = limit === null ? undefined : layer.number("max_value", 0);
    return {
      ends: true,
      build(_, [x]) {
        const y = slope === 0 ? relu(x as Value) : leakyRelu(x as Value, slope);
        return most === undefined ? y : minimum(y, most);
      },
    };
  },
  LeakyReLU(layer) {
    const slope = layer.number(layer.get("alpha") === undefined ? "negative_slope" : "alpha", 0.3);
    return { ends: true, build: (_, [x]) => leakyRelu(x as Value, slope) };
  },
  MaxPooling2D: pool("max"),
  AveragePooling2D: pool("average"),
  ZeroPadding2D(layer) {
    const given = layer.get("padding");
    const rows: unknown[] = Array.isArray(given) ? given : [given, given];
    const sides = rows.flatMap((side) => (Array.isArray(side) ? side : [side, side])) as number[];
    if (sides.length !== 4 || !sides.every((side) => Number.isInteger(side) && side >= 0))
      throw layer.refuse("padding");
    const [top, bottom, left, right] = sides as [number, number, number, number];
    return { build: (_, [x]) => pad(x as Value, { 2: [top, bottom], 3: [left, right] }) };
  },
  Add: () => ({ ends: true, build: (_, inputs) => inputs.reduce((sum, value) => add(sum, value)) }),
  Concatenate(layer) {
    checkLastAxis(layer);
    return { ends: true, build: (_, inputs) => concat(inputs, 1) };
  },
  Dropout: idle,
  SpatialDropout2D: idle,
  GaussianNoise: idle,
  GaussianDropout: idle,
} as const satisfies Record<string, MakeNode>;
