/**
 * Keras models as TensorFlow.js stores them: a `model.json` that describes the layers and lists the weights, and shards that hold the
 * weights' bytes one after the other, in float32 or quantized to 8 or 16 bits.
 *
 * What a converter wrote (`model_config` inside of `modelTopology`) and what `model.save` wrote are read alike. Graph models, which
 * have TensorFlow's ops in place of layers, aren't read. Source: the README of tfjs-converter and the types of tfjs-core's `io`.
 */
import { CheckpointError } from "../../errors.js";
import { plural } from "../../format-amount.js";
import { byteSize } from "../../graph/dtype.js";
import { sizeOf, Tensor } from "../../graph/tensor.js";
import type { ByteSource } from "../byte-source.js";
import { isJsonObject, quoted, shownValue } from "../json-text.js";
import { tensorFromBytes, type WeightEntry, type Weights } from "../weights.js";

/** A layer of a Keras model. */
export interface KerasLayer {
  readonly name: string;
  /** The class, as "Conv2D". */
  readonly kind: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Names of the layers that it takes its inputs from. */
  readonly inputs: readonly string[];
}

/** A Keras model with its weights, which are read when they are asked for. */
export interface LayersModel {
  /** For messages: the file. */
  readonly source: string;
  /** Every layer behind those that it takes its inputs from. */
  readonly layers: readonly KerasLayer[];
  /** As the file names them, "conv2d_1/kernel", dequantized to float32. */
  readonly weights: Weights;
}

const MAX_LAYERS = 10_000;

type Refuse = (problem: string, hint?: string) => CheckpointError;

/** Names of the shards that a `model.json` lists, in order: files beside it. */
export function shardPaths(json: unknown, source: string): string[] {
  return manifest(json, refusing(source)).flatMap(({ paths }) => paths);
}

/**
 * Reads a Keras model of TensorFlow.js from the parsed `model.json` and the bytes of its shards.
 *
 * @param json what `model.json` holds
 * @param shards the bytes of `shardPaths`, in their order; closed with the model's weights
 * @throws CheckpointError naming what is wrong
 */
export function readLayersModel(json: unknown, source: string, shards: readonly ByteSource[]): LayersModel {
  const refuse = refusing(source);
  const layers = readLayers(json, refuse);
  const groups = manifest(json, refuse);
  const entries = new Map<string, WeightEntry>();
  let taken = 0;
  for (const { paths, weights } of groups) {
    const bytes = joined(shards.slice(taken, taken + paths.length), paths);
    taken += paths.length;
    let offset = 0;
    for (const [i, weight] of weights.entries()) {
      const spec = readSpec(weight, i, refuse);
      if (entries.has(spec.name)) throw refuse(`has the weight ${quoted(spec.name)} twice`);
      const [start, length] = [offset, spec.byteLength];
      offset += length;
      entries.set(spec.name, {
        ...{ name: spec.name, dtype: "float32", shape: spec.shape },
        read: async () => spec.decode(await bytes.read(start, length)),
      });
    }
    if (offset !== bytes.size) {
      throw refuse(
        `lists weights of ${plural(offset, "byte")}, and ${paths.join(", ")} ${paths.length === 1 ? "has" : "have"} ${bytes.size}`,
        "A shard is damaged, or of another model: copy them again.",
      );
    }
  }
  const close = async () => {
    for (const shard of shards) await shard.close();
  };
  return { source, layers, weights: { source, entries, close } };
}

const refusing =
  (source: string): Refuse =>
  (problem, hint) =>
    new CheckpointError(`${source}: ${problem}`, hint === undefined ? {} : { hint });

/** Several files as one range of bytes. */
function joined(shards: readonly ByteSource[], paths: readonly string[]): Pick<ByteSource, "size" | "read"> {
  const size = shards.reduce((sum, shard) => sum + shard.size, 0);
  return {
    size,
    async read(offset, length) {
      if (offset + length > size) {
        throw new CheckpointError(
          `${paths.join(", ")}: ${plural(size, "byte")}, too short for the weights that are listed`,
        );
      }
      const bytes = new Uint8Array(length);
      let start = 0;
      for (const shard of shards) {
        const [from, to] = [Math.max(offset, start), Math.min(offset + length, start + shard.size)];
        if (from < to) bytes.set(await shard.read(from - start, to - from), from - offset);
        start += shard.size;
      }
      return bytes;
    },
  };
}

interface Group {
  readonly paths: readonly string[];
  readonly weights: readonly unknown[];
}

function manifest(json: unknown, refuse: Refuse): Group[] {
  const groups = isJsonObject(json) ? json.weightsManifest : undefined;
  if (!Array.isArray(groups)) {
    throw refuse(
      "isn't a model of TensorFlow.js: it has no list `weightsManifest`",
      "Give the model.json of a layers model.",
    );
  }
  return groups.map((group: unknown) => {
    const { paths, weights } = isJsonObject(group) ? group : {};
    const ok = Array.isArray(paths) && paths.every((path) => typeof path === "string") && Array.isArray(weights);
    if (!ok) throw refuse("`weightsManifest` has an entry without `paths` and `weights`");
    const outside = (paths as string[]).find((path) => !/^[^/\\:]+$/.test(path) || path.startsWith(".."));
    if (outside !== undefined) throw refuse(`names the shard ${quoted(outside)}, which isn't a file beside it`);
    return { paths: paths as string[], weights: weights as unknown[] };
  });
}

// Weights.

interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly decode: (bytes: Uint8Array) => Tensor;
}

function readSpec(weight: unknown, index: number, refuse: Refuse): WeightSpec {
  const { name, shape, dtype, quantization } = isJsonObject(weight) ? weight : {};
  if (typeof name !== "string") throw refuse(`weight ${index} has no name`);
  const sides = Array.isArray(shape) && shape.every((side) => Number.isSafeInteger(side) && (side as number) >= 0);
  const size = sides ? sizeOf(shape as number[]) : Number.NaN;
  if (!(size <= 2 ** 31)) throw refuse(`the weight ${quoted(name)} has no usable shape`);
  const own = { name, shape: shape as number[] };
  if (quantization === undefined) {
    if (dtype !== "float32") throw refuse(`the weight ${quoted(name)} is ${shownValue(dtype)}: only float32 is read`);
    return { ...own, byteLength: 4 * size, decode: (bytes) => tensorFromBytes("float32", own.shape, bytes) };
  }
  const { dtype: stored, scale, min } = isJsonObject(quantization) ? quantization : {};
  if (stored === "float16") {
    const decode = (bytes: Uint8Array) => tensorFromBytes(stored, own.shape, bytes).cast("float32");
    return { ...own, byteLength: 2 * size, decode };
  }
  if (stored !== "uint8" && stored !== "uint16") {
    throw refuse(
      `the weight ${quoted(name)} is quantized to ${shownValue(stored)}: uint8, uint16 and float16 are read`,
    );
  }
  if (!Number.isFinite(scale) || !Number.isFinite(min)) {
    throw refuse(`the weight ${quoted(name)} is quantized without a finite scale and min`);
  }
  const [step, lowest] = [scale as number, min as number];
  return {
    ...own,
    byteLength: byteSize(stored) * size,
    decode(bytes) {
      const steps = tensorFromBytes(stored, own.shape, bytes).data;
      const values = new Float32Array(size);
      for (let i = 0; i < size; i++) values[i] = (steps[i] as number) * step + lowest;
      return Tensor.float32(values, own.shape);
    },
  };
}

// Layers.

function readLayers(json: unknown, refuse: Refuse): KerasLayer[] {
  const { format, modelTopology: topology } = isJsonObject(json) ? json : {};
  if (format === "graph-model" || (isJsonObject(topology) && topology.node !== undefined)) {
    throw refuse(
      "a graph model: it has TensorFlow's ops in place of layers",
      "Give a layers model, converted from Keras.",
    );
  }
  const outer = isJsonObject(topology) ? (topology.model_config ?? topology) : undefined;
  const { class_name: kind, config } = isJsonObject(outer) ? outer : {};
  const list = Array.isArray(config) ? config : isJsonObject(config) ? config.layers : undefined;
  if (!Array.isArray(list) || list.length === 0) throw refuse("`modelTopology` has no layers");
  if (list.length > MAX_LAYERS) throw refuse(`has ${list.length} layers: more than ${MAX_LAYERS}`);
  const sequential = kind === "Sequential";
  const layers: KerasLayer[] = [];
  const known = new Set<string>();
  for (const [i, raw] of list.entries()) {
    const layer = isJsonObject(raw) ? raw : {};
    const own = isJsonObject(layer.config) ? layer.config : {};
    const name = layer.name ?? own.name;
    if (typeof name !== "string" || typeof layer.class_name !== "string")
      throw refuse(`layer ${i} has no name or no class`);
    if (known.has(name)) throw refuse(`has the layer ${quoted(name)} twice`);
    known.add(name);
    const before = layers.at(-1)?.name;
    const inputs = sequential ? (before === undefined ? [] : [before]) : inboundOf(layer, name, refuse);
    layers.push({ name, kind: layer.class_name, config: own, inputs });
  }
  return ordered(layers, refuse);
}

/** `[[["a", 0, 0, {}], ["b", 0, 0, {}]]]`: one use of the layer, which takes a and b. */
function inboundOf(
  { inbound_nodes: nodes }: Readonly<Record<string, unknown>>,
  name: string,
  refuse: Refuse,
): string[] {
  if (!Array.isArray(nodes))
    throw refuse(`the layer ${quoted(name)} doesn't say what it takes: no list \`inbound_nodes\``);
  if (nodes.length === 0) return [];
  if (nodes.length > 1) throw refuse(`the layer ${quoted(name)} is used ${nodes.length} times, which isn't supported`);
  const uses: unknown = nodes[0];
  const names = Array.isArray(uses)
    ? uses.map((use: unknown) => (Array.isArray(use) ? use[0] : undefined))
    : [undefined];
  if (names.some((input) => typeof input !== "string")) {
    throw refuse(
      `the layer ${quoted(name)} has \`inbound_nodes\` of an unknown form`,
      "Convert the model from Keras 2.",
    );
  }
  return names as string[];
}

/** Layers behind their inputs. @throws when an input is missing, or layers go in a circle */
function ordered(layers: readonly KerasLayer[], refuse: Refuse): KerasLayer[] {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  for (const { name, inputs } of layers) {
    const missing = inputs.find((input) => !byName.has(input));
    if (missing !== undefined) throw refuse(`the layer ${quoted(name)} takes ${quoted(missing)}, which isn't there`);
  }
  const done = new Set<string>();
  const result: KerasLayer[] = [];
  let waiting = layers;
  while (waiting.length > 0) {
    const left: KerasLayer[] = [];
    for (const layer of waiting) {
      if (!layer.inputs.every((input) => done.has(input))) {
        left.push(layer);
        continue;
      }
      done.add(layer.name);
      result.push(layer);
    }
    if (left.length === waiting.length) throw refuse(`its layers go in a circle, at ${quoted(left[0]?.name ?? "")}`);
    waiting = left;
  }
  return result;
}
