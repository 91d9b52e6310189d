/** Keras models of TensorFlow.js as files: what is read, and what is refused. That layers compute the right thing is tested in train. */
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type KerasFiles, smallKerasModel, writeKerasModel } from "@dcae/test-support/keras-model";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { openLayersModel, readLayersModel } from "../../src/checkpoint/index.js";
import { createScope, input } from "../../src/graph/index.js";
import { layersNetwork } from "../../src/nets/index.js";

const folder = temporaryFolder();

test.each([1, 3, 7])("weights in float32, 8 bits, 16 bits and float16 are read, across %i shards", async (shards) => {
  const files = smallKerasModel(shards);
  const model = await openLayersModel(await writeKerasModel(join(folder, `shards${shards}`), files));
  expect([...model.weights.entries.keys()]).toEqual([...files.values.keys()]);
  for (const [name, entry] of model.weights.entries) {
    expect([...(await entry.read()).toFloat32()], name).toEqual([...files.values.get(name)!]);
  }
  await model.weights.close();
});

test("what model.save writes, and chains of layers, are read as what a converter writes", async () => {
  const { json } = smallKerasModel();
  const { weightsManifest } = json;
  const { layers } = json.modelTopology.model_config.config;
  const one = (topology: object) =>
    readLayersModel({ modelTopology: topology, weightsManifest: [{ ...weightsManifest[0]!, weights: [] }] }, "m", []);
  const saved = one({ class_name: "Functional", config: { layers } });
  expect(saved.layers.map(({ name }) => name)).toEqual(layers.map(({ name }) => name));
  const chain = layers.slice(0, 5).map(({ inbound_nodes, name, ...rest }) => rest);
  const sequential = one({ class_name: "Sequential", config: chain });
  expect(sequential.layers[4]).toMatchObject({ name: "second", inputs: ["stem_relu"] });
  // Layers may stand in any order.
  const turned = one({ class_name: "Model", config: { layers: [...layers].reverse() } });
  const position = new Map(turned.layers.map(({ name }, i) => [name, i]));
  for (const { name, inputs } of turned.layers) {
    for (const from of inputs) expect(position.get(from)!).toBeLessThan(position.get(name)!);
  }
});

type Change = (files: KerasFiles) => unknown;
const layersOf = ({ json }: KerasFiles) =>
  json.modelTopology.model_config.config.layers as unknown as Record<string, unknown>[];
const layerOf = (files: KerasFiles, name: string) => layersOf(files).find((layer) => layer.name === name)!;
const weightsOf = ({ json }: KerasFiles) => json.weightsManifest[0]!.weights as unknown as Record<string, unknown>[];
const set =
  (name: string, more: object): Change =>
  (files) =>
    Object.assign(layerOf(files, name).config as object, more);

test.each<[string, Change, string | RegExp]>([
  [
    "a graph model",
    ({ json }) => Object.assign(json, { format: "graph-model" }),
    "a graph model: it has TensorFlow's ops",
  ],
  ["no list of weights", ({ json }) => Object.assign(json, { weightsManifest: 1 }), "isn't a model of TensorFlow.js"],
  [
    "a shard outside",
    ({ json }) => json.weightsManifest[0]!.paths.splice(0, 1, "../secret"),
    'names the shard "../secret"',
  ],
  ["no layers", (files) => layersOf(files).splice(0), "`modelTopology` has no layers"],
  ["a layer twice", (files) => layersOf(files).push(layersOf(files)[2]!), 'has the layer "stem_norm" twice'],
  ["a layer that isn't there", (files) => layersOf(files).splice(4, 1), 'the layer "halved" takes "second"'],
  [
    "a circle",
    (files) => Object.assign(layerOf(files, "stem"), { inbound_nodes: [[["halved", 0, 0, {}]]] }),
    "its layers go in a circle",
  ],
  [
    "a layer used twice",
    (files) => (layerOf(files, "second").inbound_nodes as unknown[]).push([["left", 0, 0, {}]]),
    "is used 2 times",
  ],
  [
    "nodes of Keras 3",
    (files) => Object.assign(layerOf(files, "second"), { inbound_nodes: [{ args: [] }] }),
    "of an unknown form",
  ],
  ["a shape of nothing", (files) => Object.assign(weightsOf(files)[0]!, { shape: [-1] }), "has no usable shape"],
  [
    "a huge shape",
    (files) => Object.assign(weightsOf(files)[0]!, { shape: [2 ** 30, 2 ** 30] }),
    "has no usable shape",
  ],
  ["text", (files) => Object.assign(weightsOf(files)[0]!, { dtype: "string" }), 'is "string": only float32 is read'],
  [
    "bits",
    (files) => Object.assign(weightsOf(files)[1]!, { quantization: { dtype: "uint4" } }),
    'quantized to "uint4"',
  ],
  [
    "no scale",
    (files) => Object.assign(weightsOf(files)[1]!, { quantization: { dtype: "uint8", min: 0 } }),
    "without a finite scale",
  ],
  [
    "a weight twice",
    (files) => Object.assign(weightsOf(files)[1]!, { name: "stem/kernel" }),
    'has the weight "stem/kernel" twice',
  ],
  [
    "too few bytes",
    ({ shards }) => (shards as Map<string, Uint8Array>).set("group1-shard3of3.bin", new Uint8Array(9)),
    /lists weights of [\d,]+ bytes, and .* have \d+/,
  ],
  [
    "a weight missing",
    (files) => Object.assign(weightsOf(files)[0]!, { name: "steam/kernel" }),
    'the file has no weight "stem/kernel"',
  ],
  [
    "a padding",
    set("stem", { padding: "causal" }),
    'the layer "stem" (Conv2D) has padding "causal", which isn\'t known',
  ],
  ["an order of axes", set("halved", { data_format: "channels_first" }), 'data_format "channels_first"'],
  ["an activation", set("second", { activation: "gelu" }), 'has activation "gelu"'],
  ["strides", set("stem", { strides: [0, 1] }), "has strides a list"],
  ["an axis", set("joined", { axis: 1 }), "has axis 1"],
])("%s is refused in one line", async (what, change, message) => {
  const files = smallKerasModel();
  change(files);
  const place = join(folder, what.replaceAll(" ", "-"));
  const open = async () => layersNetwork(await openLayersModel(await writeKerasModel(place, files)));
  const error = await open().catch((thrown: Error) => thrown);
  expect(error).toBeInstanceOf(Error);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message).not.toContain("\n");
});

test("a missing shard and a pointer in place of the description are named", async () => {
  const place = await writeKerasModel(join(folder, "missing"));
  await rm(join(place, "group1-shard2of3.bin"));
  await expect(openLayersModel(place)).rejects.toThrow(/group1-shard2of3\.bin: can't read: no such file/);
  await writeFile(join(place, "model.json"), "version https://git-lfs.github.com/spec/v1\n");
  await expect(openLayersModel(place)).rejects.toThrow("a pointer of Git LFS");
  expect((await readdir(place)).length).toBe(3);
});

test("a layer of an unknown class matters only where features depend on it", async () => {
  const files = smallKerasModel();
  const unknown = layerOf(files, "depthwise");
  Object.assign(unknown, { class_name: "Mystery" });
  const network = layersNetwork(await openLayersModel(await writeKerasModel(join(folder, "unknown"), files)));
  expect(() => network.lastLayers()).toThrow('the layer "depthwise" is a Mystery, which isn\'t known here');
  const x = input("x", [1, 3, 32, 32]);
  expect(network.features(createScope(), x, ["joined"])[0]!.shape).toEqual([1, 8, 7, 7]);
  expect(() => network.features(createScope(), x, ["leaky"])).toThrow('the layer "leaky" comes behind "sum_norm"');
  expect(() => network.features(createScope(), x, ["mixed0"])).toThrow('there is no layer "mixed0"');
  await network.weights.close();
  // An unknown head is none of our business.
  const head = smallKerasModel();
  Object.assign(layerOf(head, "classes"), { class_name: "Mystery" });
  const other = layersNetwork(await openLayersModel(await writeKerasModel(join(folder, "head"), head)));
  expect(other.lastLayers()).toEqual(["second", "joined", "leaky"]);
  await other.weights.close();
});
