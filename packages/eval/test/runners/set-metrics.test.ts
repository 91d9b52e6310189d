/** Distances that a training asks for: how they are written, and that they are those of the evaluations. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { imagesToTensor, loadAutoencoder, Tensor } from "@dcae/core";
import { openLayersModel } from "@dcae/core/checkpoint";
import { createScope, input } from "@dcae/core/graph";
import { layersNetwork, pictureFeatures } from "@dcae/core/nets";
import { useEngine } from "@dcae/test-support/engine";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { writeKerasModel } from "@dcae/test-support/keras-model";
import { runValues } from "@dcae/test-support/run-graph";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, it } from "vitest";
import { frechetDistance } from "../../src/metrics/frechet-distance.js";
import { MissingWeightsError } from "../../src/networks/find-network.node.js";
import { latentFeatures, openSetMetrics, parseSetMetric } from "../../src/runners/set-metrics.node.js";
import { createFeatureAccumulator } from "../../src/statistics/feature-accumulator.js";
import { formulaPictures, writePictures } from "../support/picture-folder.js";
import { saveTinyModel } from "../support/tiny-model.js";

const engine = useEngine();
const folder = temporaryFolder();
const photos = Object.values(formulaPictures(40, 32, 32));
const others = Object.values(formulaPictures(40, 32, 32, 500));
let encoder: string;
let reference: string;

beforeAll(async () => {
  encoder = await saveTinyModel(join(folder, "encoder"));
  reference = await writePictures(join(folder, "reference"), formulaPictures(40, 32, 32, 500));
});

const options = {
  engine,
  size: 32,
  originals: true,
  weights: { environment: { XDG_CACHE_HOME: join(folder, "none") } },
};

describe("the names of metrics", () => {
  it("are FID where its network is meant, and FD with the network's name otherwise", () => {
    expect(parseSetMetric("rfid")).toEqual({ name: "rfid", network: "inception", reference: undefined });
    expect(parseSetMetric("fid=a/ref.npz")).toEqual({ name: "fid", network: "inception", reference: "a/ref.npz" });
    expect(parseSetMetric("rfd:clip")).toEqual({ name: "rfd_clip", network: "clip", reference: undefined });
    const named = { name: "fd_my_model", network: "runs/my model/", reference: "x=1/photos" };
    expect(parseSetMetric("fd:runs/my model/=x=1/photos")).toEqual(named);
  });

  it.each([
    ["psnr", /"psnr" isn't a distance/],
    ["fid", /has no reference/],
    ["rfid=ref.npz", /has a reference, but/],
    ["rfd", /names no network/],
    ["fd:inception=photos", /"fd:inception=photos" is FID/],
    ["fid:clip=photos", /names a network, but FID has its own/],
    ["rfd:", /isn't a distance/],
  ])("%s is refused", (text, problem) => {
    expect(() => parseSetMetric(text)).toThrow(problem);
  });
});

it("features of a latent are the mean and the deviation of each channel", () => {
  const latents = Tensor.float32([1, 3, 5, 5, /* next */ 2, 2, 0, 4], [2, 2, 1, 2]);
  expect([...latentFeatures(latents).toFloat32()]).toEqual([2, 5, 1, 0, 2, 2, 0, 2]);
});

it("distances are those of the features, whatever the batches are", async () => {
  const model = await loadAutoencoder(encoder, { device: "cpu", threads: 1 });
  const statistics = async (pictures: typeof photos) => {
    const rows = latentFeatures(await model.encodeLatent(imagesToTensor(pictures)));
    const sums = createFeatureAccumulator(16);
    sums.add(rows.toFloat32());
    return sums.statistics("set");
  };
  const expected = frechetDistance(await statistics(others), await statistics(photos)).distance;
  await model.dispose();
  const said: string[] = [];
  const metrics = await openSetMetrics([`rfd:${encoder}`, `fd:${encoder}=${reference}`], {
    ...options,
    onMessage: (text) => said.push(text),
  });
  expect(metrics.better).toEqual({ rfd_encoder: "lower", fd_encoder: "lower" });
  const [made, again, originals] = [metrics.collect(), metrics.collect(), metrics.collect()];
  await made.add(photos);
  for (let start = 0; start < 40; start += 8) await again.add(photos.slice(start, start + 8));
  await originals.add(others);
  const found = await metrics.compare(made, originals);
  // The network's numbers depend on the batch in their last bits.
  expect(found.rfd_encoder).toBeCloseTo(expected, 4);
  expect(found.fd_encoder).toBeCloseTo(expected, 4);
  expect(expected).toBeGreaterThan(1e-3);
  const second = await metrics.compare(again, originals);
  expect(second.rfd_encoder).toBeCloseTo(expected, 4);
  // The same pictures again: the same bits.
  const third = metrics.collect();
  await third.add(photos);
  expect(await metrics.compare(third, originals)).toEqual(found);
  expect((await metrics.compare(originals, originals)).rfd_encoder).toBeLessThan(1e-6);
  expect(said).toEqual([]);
  const [one] = [metrics.collect()];
  await one.add([formulaImage(32, 32, 1)]);
  await expect(metrics.compare(one, originals)).rejects.toThrow(/what the model made: a covariance needs at least 2/);
  await metrics.close();
});

it("says what can't be computed before a training begins", async () => {
  const fail = (name: string, changes: object = {}) =>
    openSetMetrics([name], { ...options, ...changes }).then(
      () => undefined,
      (error: unknown) => error,
    );
  expect(await fail("rfid")).toBeInstanceOf(MissingWeightsError);
  expect(await fail("rfd:clip")).toBeInstanceOf(MissingWeightsError);
  expect(String(await fail(`rfd:${encoder}`, { originals: false }))).toMatch(
    /distance to originals, which samples don't/,
  );
  expect(String(await fail(`rfd:${encoder}`, { size: 30 }))).toMatch(/encodes multiples of 4 pixels, not 30/);
  expect(String(await fail(`fd:${encoder}=${join(folder, "nowhere")}`))).toMatch(/nowhere/);
  const twice = openSetMetrics([`rfd:${encoder}`, `rfd:./a/../${"encoder"}`], options);
  await expect(twice).rejects.toThrow(/two distances that are called rfd_encoder/);
});

describe("a Keras model", () => {
  const distances = async (name: string) => {
    const metrics = await openSetMetrics([name], options);
    const [made, originals] = [metrics.collect(), metrics.collect()];
    for (let start = 0; start < 40; start += 16) await made.add(photos.slice(start, start + 16));
    await originals.add(others);
    const found = await metrics.compare(made, originals);
    await metrics.close();
    return found;
  };

  it("gives the means of a layer's channels as features, of its last one or of that which is named", async () => {
    const network = await writeKerasModel(join(folder, "keras"));
    const model = layersNetwork(await openLayersModel(network));
    for (const [layer, key] of [
      ["leaky", "rfd_keras"],
      ["joined", "rfd_keras_joined"],
    ] as const) {
      const pictures = input("pictures", [40, 3, 32, 32]);
      const statistics = async (images: typeof photos) => {
        const [features] = pictureFeatures(createScope(), model, pictures, { layers: [layer] });
        const { value } = await runValues(
          engine,
          { value: features! },
          { pictures: imagesToTensor(images) },
          model.weights,
        );
        const [count, channels, height, width] = value!.shape as [number, number, number, number];
        const sums = createFeatureAccumulator(channels);
        const values = value!.toFloat32();
        const rows = new Float32Array(count * channels);
        const positions = height * width;
        for (const [i, number] of values.entries()) rows[Math.floor(i / positions)]! += number / positions;
        sums.add(rows);
        return sums.statistics("set");
      };
      const expected = frechetDistance(await statistics(others), await statistics(photos)).distance;
      const found = await distances(`rfd:${network}${layer === "leaky" ? "" : `#${layer}`}`);
      expect(Object.keys(found)).toEqual([key]);
      expect(Math.abs(found[key]! - expected) / expected).toBeLessThan(1e-3);
    }
    await model.weights.close();
  });

  it("is refused in one line where it can't be read, has no such layer, or takes larger pictures", async () => {
    const network = await writeKerasModel(join(folder, "refused"));
    const open = (name: string, size = 32) => openSetMetrics([name], { ...options, size });
    await expect(open(`rfd:${network}#mixed7`)).rejects.toThrow('there is no layer "mixed7"');
    await expect(open(`rfd:${network}`, 4)).rejects.toThrow('the layer "halved" needs 3 rows and columns');
    await expect(open(`rfd:${join(folder, "nowhere")}#a`)).rejects.toThrow(/^evaluate: .*nowhere: can't read/);
    await writeFile(join(network, "model.json"), "{}");
    await expect(open(`rfd:${network}`)).rejects.toThrow("isn't a model of TensorFlow.js");
  });
});
