/** Small Keras models as TensorFlow.js stores them, with weights that are drawn: for losses and metrics in a network's features. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createRandom, encodeFloats, sizeOf } from "@dcae/core/graph";

type Quantization = "uint8" | "uint16" | "float16";

interface StoredWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: { readonly dtype: Quantization; readonly scale?: number; readonly min?: number };
}

interface StoredLayer {
  readonly name: string;
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inbound_nodes: readonly unknown[];
}

/** What a `model.json` holds, as far as it is read. */
export interface KerasJson {
  readonly format?: string;
  readonly modelTopology: {
    readonly model_config: { readonly class_name: string; readonly config: { readonly layers: StoredLayer[] } };
  };
  readonly weightsManifest: { readonly paths: string[]; readonly weights: StoredWeight[] }[];
}

/** A model in memory. */
export interface KerasFiles {
  readonly json: KerasJson;
  /** Bytes of the shards, by name. */
  readonly shards: ReadonlyMap<string, Uint8Array>;
  /** What the weights are once they are read, in Keras' order of axes. */
  readonly values: ReadonlyMap<string, Float32Array>;
}

const layer = (
  class_name: string,
  name: string,
  from: string | readonly string[] | null,
  config: object = {},
): StoredLayer => ({
  name,
  class_name,
  config: { name, ...config },
  inbound_nodes:
    from === null ? [] : [[...(typeof from === "string" ? [from] : from)].map((input) => [input, 0, 0, {}])],
});

const conv = (kernel_size: number, filters: number, more: object = {}) => ({
  ...{ kernel_size: [kernel_size, kernel_size], filters, strides: [1, 1], padding: "same", dilation_rate: [1, 1] },
  ...{ activation: "linear", use_bias: false, data_format: "channels_last", ...more },
});

/** One layer of each class: a stem, branches that are joined, a depthwise block with a sum, a head. */
const LAYERS: readonly StoredLayer[] = [
  layer("InputLayer", "picture", null, { batch_input_shape: [null, 32, 32, 3] }),
  layer("Conv2D", "stem", "picture", conv(3, 6, { strides: [2, 2], padding: "valid" })),
  layer("BatchNormalization", "stem_norm", "stem", { axis: 3, epsilon: 0.001, scale: false, center: true }),
  layer("Activation", "stem_relu", "stem_norm", { activation: "relu" }),
  layer("Conv2D", "second", "stem_relu", conv(3, 8, { use_bias: true, activation: "relu" })),
  layer("MaxPooling2D", "halved", "second", { pool_size: [3, 3], strides: [2, 2], padding: "valid" }),
  layer("Conv2D", "left", "halved", conv(1, 4)),
  layer("BatchNormalization", "left_norm", "left", { axis: -1, epsilon: 0.01 }),
  layer("Activation", "left_swish", "left_norm", { activation: "swish" }),
  layer("AveragePooling2D", "smooth", "halved", { pool_size: [3, 3], strides: [1, 1], padding: "same" }),
  layer("Conv2D", "right", "smooth", conv(3, 4, { use_bias: true, dilation_rate: [2, 2] })),
  layer("Concatenate", "joined", ["left_swish", "right"], { axis: 3 }),
  layer("ZeroPadding2D", "padded", "joined", {
    padding: [
      [0, 1],
      [0, 1],
    ],
  }),
  layer("DepthwiseConv2D", "depthwise", "padded", {
    ...{ kernel_size: [3, 3], strides: [2, 2], padding: "valid", depth_multiplier: 2, use_bias: false },
  }),
  layer("BatchNormalization", "depthwise_norm", "depthwise", { axis: 3, epsilon: 0.001 }),
  layer("ReLU", "depthwise_relu", "depthwise_norm", { max_value: 6, negative_slope: 0, threshold: 0 }),
  layer("Conv2D", "project", "depthwise_relu", conv(1, 16)),
  layer("Dropout", "dropout", "project", { rate: 0.5 }),
  layer("Add", "sum", ["dropout", "depthwise_relu"]),
  layer("BatchNormalization", "sum_norm", "sum", { axis: 3, epsilon: 0.001 }),
  layer("LeakyReLU", "leaky", "sum_norm", { alpha: 0.2 }),
  layer("GlobalAveragePooling2D", "pooled", "leaky"),
  layer("Dense", "classes", "pooled", { units: 2, activation: "softmax", use_bias: true }),
];

const norm = (name: string, channels: number, parts = ["gamma", "beta", "moving_mean", "moving_variance"]) =>
  parts.map((part): [string, number[]] => [`${name}/${part}`, [channels]]);

const SHAPES: readonly (readonly [string, readonly number[]])[] = [
  ["stem/kernel", [3, 3, 3, 6]],
  ...norm("stem_norm", 6, ["beta", "moving_mean", "moving_variance"]),
  ["second/kernel", [3, 3, 6, 8]],
  ["second/bias", [8]],
  ["left/kernel", [1, 1, 8, 4]],
  ...norm("left_norm", 4),
  ["right/kernel", [3, 3, 8, 4]],
  ["right/bias", [4]],
  ["depthwise/depthwise_kernel", [3, 3, 8, 2]],
  ...norm("depthwise_norm", 16),
  ["project/kernel", [1, 1, 16, 16]],
  ...norm("sum_norm", 16),
  ["classes/kernel", [16, 2]],
  ["classes/bias", [2]],
];

/** The storage of each weight in turn. */
const STORAGE: readonly (Quantization | undefined)[] = [undefined, "uint8", "uint16", "float16"];

function store(name: string, shape: readonly number[], storage: Quantization | undefined) {
  const variance = name.endsWith("variance");
  const drawn = createRandom(3, name).normal(new Float32Array(sizeOf(shape)), name.endsWith("gamma") ? 1 : 0, 0.3);
  const wanted = drawn.map((value) => (variance ? 0.5 + Math.abs(value) : value));
  if (storage === undefined) return { weight: { name, shape, dtype: "float32" }, bytes: bytesOf(wanted), read: wanted };
  if (storage === "float16") {
    const bits = encodeFloats("float16", wanted);
    const read = wanted.map((value) => float16(value));
    return { weight: { name, shape, dtype: "float32", quantization: { dtype: storage } }, bytes: bytesOf(bits), read };
  }
  const [min, most] = [Math.min(...wanted), storage === "uint8" ? 255 : 65_535];
  const scale = (Math.max(...wanted) - min) / most || 1;
  const steps = [...wanted].map((value) => Math.round((value - min) / scale));
  const data = storage === "uint8" ? Uint8Array.from(steps) : Uint16Array.from(steps);
  const read = Float32Array.from(steps, (step) => step * scale + min);
  return {
    weight: { name, shape, dtype: "float32", quantization: { dtype: storage, scale, min } },
    bytes: bytesOf(data),
    read,
  };
}

/** The nearest number with 10 bits behind the leading one, of the sizes that are drawn. */
function float16(value: number): number {
  if (value === 0) return 0;
  const step = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(value))), -14) - 10);
  const [below, rest] = [Math.floor(value / step), value / step - Math.floor(value / step)];
  return step * (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

/** The model, its bytes in shards of odd lengths, so that weights lie across them. */
export function smallKerasModel(shards = 3): KerasFiles {
  const stored = SHAPES.map(([name, shape], i) => store(name, shape, STORAGE[i % STORAGE.length]));
  const all = Buffer.concat(stored.map(({ bytes }) => bytes));
  const paths = Array.from({ length: shards }, (_, i) => `group1-shard${i + 1}of${shards}.bin`);
  const side = Math.ceil(all.length / shards);
  return {
    json: {
      modelTopology: {
        model_config: { class_name: "Model", config: { layers: structuredClone(LAYERS) as StoredLayer[] } },
      },
      weightsManifest: [{ paths, weights: stored.map(({ weight }) => weight as StoredWeight) }],
    },
    shards: new Map(paths.map((path, i) => [path, new Uint8Array(all.subarray(i * side, (i + 1) * side))])),
    values: new Map(stored.map(({ weight, read }) => [weight.name, read])),
  };
}

/** Writes a model into a folder. @returns the folder */
export async function writeKerasModel(
  folder: string,
  { json, shards }: Pick<KerasFiles, "json" | "shards"> = smallKerasModel(),
): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "model.json"), JSON.stringify(json));
  for (const [name, bytes] of shards) await writeFile(join(folder, name), bytes);
  return folder;
}
