/** A Keras model as a graph against TensorFlow.js' own ops, the distance against its definition, its gradient against differences. */
import { join } from "node:path";
import { openLayersModel } from "@dcae/core/checkpoint";
import { createRandom, createScope, input, reduceMean, sizeOf, Tensor } from "@dcae/core/graph";
import { type FeatureNetwork, featureDistance, layersNetwork, pictureFeatures } from "@dcae/core/nets";
import type { Engine } from "@dcae/core/runtime";
import { expectClose, GRADIENT_TOLERANCE, MODEL_TOLERANCE } from "@dcae/test-support/compare";
import { type KerasFiles, smallKerasModel, writeKerasModel } from "@dcae/test-support/keras-model";
import { runValues } from "@dcae/test-support/run-graph";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/gradients.js";
import { gradientForms, optimizeForward } from "../../src/step/optimize-forward.js";
import { ENGINES } from "../support/engines.js";
import "@tensorflow/tfjs-backend-cpu";

const folder = temporaryFolder();
const files = smallKerasModel();
const LAYERS = ["stem_relu", "second", "joined", "right", "depthwise_norm", "leaky"];
let network: FeatureNetwork;
beforeAll(async () => {
  network = layersNetwork(await openLayersModel(await writeKerasModel(join(folder, "small"), files)));
});
afterAll(() => network.weights.close());

const draw = (name: string, shape: readonly number[]) =>
  Tensor.float32(createRandom(11, name).uniform(new Float32Array(sizeOf(shape)), -1, 1), shape);

/** Every layer of the model by TensorFlow.js' ops, in NHWC, as Keras defines them. */
function byTfjs({ json, values }: KerasFiles, x: tf.Tensor4D): Map<string, tf.Tensor4D> {
  const shapes = new Map(json.weightsManifest[0]!.weights.map(({ name, shape }) => [name, shape]));
  const weight = (name: string) => tf.tensor(values.get(name)!, [...shapes.get(name)!]);
  const outputs = new Map<string, tf.Tensor4D>();
  for (const { name, class_name, config, inbound_nodes } of json.modelTopology.model_config.config.layers) {
    const from = ((inbound_nodes[0] ?? []) as [string][]).map(([input]) => outputs.get(input)!);
    // biome-ignore lint/suspicious/noExplicitAny: settings of all classes
    const [y, c] = [from[0]!, config as any];
    const activated = (z: tf.Tensor) =>
      c.activation === "relu" ? tf.relu(z) : c.activation === "swish" ? tf.mul(z, tf.sigmoid(z)) : z;
    const compute: Record<string, () => tf.Tensor> = {
      InputLayer: () => x,
      Conv2D() {
        const dilations = c.strides[0] > 1 ? 1 : c.dilation_rate;
        const z = tf.conv2d(y, weight(`${name}/kernel`) as tf.Tensor4D, c.strides, c.padding, "NHWC", dilations);
        return activated(c.use_bias ? tf.add(z, weight(`${name}/bias`)) : z);
      },
      DepthwiseConv2D: () =>
        tf.depthwiseConv2d(y, weight(`${name}/depthwise_kernel`) as tf.Tensor4D, c.strides, c.padding),
      BatchNormalization() {
        const of = (part: string) => weight(`${name}/${part}`) as tf.Tensor1D;
        const gamma = values.has(`${name}/gamma`) ? of("gamma") : tf.onesLike(of("moving_mean"));
        return tf.batchNorm(y, of("moving_mean"), of("moving_variance"), of("beta"), gamma, c.epsilon);
      },
      Activation: () => activated(y),
      ReLU: () => tf.minimum(tf.relu(y), c.max_value),
      LeakyReLU: () => tf.leakyRelu(y, c.alpha),
      MaxPooling2D: () => tf.maxPool(y, c.pool_size, c.strides, c.padding),
      AveragePooling2D: () => tf.avgPool(y, c.pool_size, c.strides, c.padding),
      ZeroPadding2D: () => tf.pad(y, [[0, 0], ...c.padding, [0, 0]]),
      Concatenate: () => tf.concat(from, 3),
      Add: () => tf.addN(from),
      Dropout: () => y,
    };
    const value = compute[class_name]?.();
    if (value === undefined) break; // the head
    outputs.set(name, value as tf.Tensor4D);
  }
  return outputs;
}

const channelsLast = ({ shape, data }: Tensor) =>
  tf.transpose(tf.tensor(data as Float32Array, [...shape]), [0, 2, 3, 1]);

/** Odd sides, which "valid" windows cut and "same" ones pad unevenly. */
const SHAPE = [2, 3, 37, 30] as const;

/** Features of pictures by TensorFlow.js, [N, C, h, w]. */
async function expectedFeatures(x: Tensor, [black, white] = [0, 1]) {
  await tf.setBackend("cpu");
  const seen = tf.add(tf.mul(channelsLast(x), (white! - black!) / 2), (white! + black!) / 2) as tf.Tensor4D;
  const outputs = byTfjs(files, seen);
  return LAYERS.map((name) => tf.transpose(outputs.get(name)!, [0, 3, 1, 2]));
}

test("of each resolution the last layer that everything goes through gives features by default", () => {
  expect(network.lastLayers()).toEqual(["second", "joined", "leaky"]);
  expect(network.layers).not.toContain("pooled");
});

describe.each(Object.entries(ENGINES))("%s", (_, start) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine.dispose());

  test.each([[undefined], [[-1, 1]], [[0, 255]]] as const)(
    "features are those of TensorFlow.js, range %j",
    async (range) => {
      const x = draw("x", SHAPE);
      const expected = await expectedFeatures(x, range as [number, number] | undefined);
      if (engine.name.includes("wasm")) await tf.setBackend("wasm");
      const values = pictureFeatures(createScope(), network, input("x", SHAPE), { layers: LAYERS, range });
      const named = Object.fromEntries(values.map((value, i) => [LAYERS[i]!, value]));
      const found = await runValues(engine, named, { x }, network.weights);
      for (const [i, name] of LAYERS.entries()) {
        expect(found[name]!.shape).toEqual(expected[i]!.shape);
        expectClose(found[name]!, await expected[i]!.data(), MODEL_TOLERANCE, name);
      }
    },
  );
});

describe("the distance", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await ENGINES.OnnxEngine!();
  });
  afterAll(() => engine.dispose());

  test("is 1 less the cosine of features, as mean over positions and layers", async () => {
    const [a, b] = [draw("a", SHAPE), draw("b", SHAPE)];
    const [ofA, ofB] = [await expectedFeatures(a), await expectedFeatures(b)];
    const expected = [0, 0];
    for (const [l, one] of ofA.entries()) {
      const [, channels, height, width] = one.shape as [number, number, number, number];
      const [p, q] = [await one.data(), await ofB[l]!.data()];
      const positions = height * width;
      for (let n = 0; n < 2; n++) {
        for (let i = 0; i < positions; i++) {
          let [pp, qq, pq] = [0, 0, 0];
          for (let c = 0; c < channels; c++) {
            const at = (n * channels + c) * positions + i;
            pp += p[at]! ** 2;
            qq += q[at]! ** 2;
            pq += p[at]! * q[at]!;
          }
          // Two vectors of zeros point nowhere, and are the same.
          const cosine = pq / Math.sqrt((pp + 1e-8) * (qq + 1e-8));
          const half = (pp / (pp + 1e-8) + qq / (qq + 1e-8)) / 2;
          expected[n]! += (half - cosine) / positions / ofA.length;
        }
      }
    }
    const [x, y] = [input("a", SHAPE), input("b", SHAPE)];
    const scope = createScope();
    const distance = featureDistance(scope, network, x, y, { layers: LAYERS });
    const same = featureDistance(scope, network, x, x, { layers: LAYERS });
    expect(distance.shape).toEqual([2]);
    const found = await runValues(engine, { distance, same }, { a, b }, network.weights);
    expectClose(found.distance!, expected, MODEL_TOLERANCE);
    expect([...found.same!.toFloat32()]).toEqual([0, 0]);
    expect(expected[0]).toBeGreaterThan(0.05);
  });

  test("has the gradient that differences have, op by op and in the CPU's forms", async () => {
    const shape = [1, 3, 20, 20] as const;
    const [a, b, along] = [draw("a", shape), draw("b", shape), draw("direction", shape)];
    const x = input("a", shape);
    const loss = reduceMean(featureDistance(createScope(), network, x, input("b", shape)));
    const [formed] = optimizeForward([loss], { trains: () => false });
    const values = {
      loss,
      plain: gradients(loss, [x])[0]!,
      formed: gradients(formed!, [x], gradientForms(true))[0]!,
    };
    const { plain, formed: other } = await runValues(engine, values, { a, b }, network.weights);
    expectClose(other!, plain!, GRADIENT_TOLERANCE);
    // Along a direction, in steps small enough that few activations change their side.
    const direction = along.toFloat32();
    const slope = plain!.toFloat32().reduce((sum, value, i) => sum + value * direction[i]!, 0);
    const at = async (h: number) => {
      const moved = Tensor.float32(
        a.toFloat32().map((value, i) => value + h * direction[i]!),
        shape,
      );
      return (await runValues(engine, { loss }, { a: moved, b }, network.weights)).loss!.at() as number;
    };
    const h = 2e-3;
    const differences = (8 * ((await at(h)) - (await at(-h))) - ((await at(2 * h)) - (await at(-2 * h)))) / (12 * h);
    expect(Math.abs(slope)).toBeGreaterThan(1e-3);
    expect(Math.abs(differences - slope) / Math.abs(slope)).toBeLessThan(2e-3);
  });
});
