/** LPIPS against the reference: narrow trunks with stored weights, and the full one with weights by formula. */
import {
  concat,
  createScope,
  input,
  mul,
  reduceMean,
  reduceSum,
  relu,
  reshape,
  sub,
  Tensor,
  type Value,
} from "@dcae/core/graph";
import { imagesToTensor } from "@dcae/core/image";
import { type LpipsNorm, lpips } from "@dcae/core/nets";
import type { Engine } from "@dcae/core/runtime";
import { expectWithin } from "@dcae/test-support/compare";
import type { RawConfig } from "@dcae/test-support/golden";
import { formulaImage, hashFilledWeights, type ManifestEntry } from "@dcae/test-support/hash-fill";
import { runValues } from "@dcae/test-support/run-graph";
import { memoryWeights } from "@dcae/test-support/weights";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/gradients.js";
import { ENGINES } from "../support/engines.js";
import { goldenJson, goldenNames, loadGolden } from "../support/golden.js";

describe.each(Object.entries(ENGINES))("%s", (_, start) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine.dispose());

  function graph(shape: readonly number[], widths: readonly number[], norm: LpipsNorm, unitRange = false) {
    const scope = createScope();
    const [img0, img1] = [input("img0", shape), input("img1", shape)];
    const range = (image: Value) => (unitRange ? sub(mul(image, 2), 1) : image);
    const { distance, terms } = lpips(scope, range(img0), range(img1), { widths, norm });
    const [gradient] = gradients(reduceSum(distance), [img0]);
    const perLayer = concat(
      terms.map((term) => reshape(term, [-1, 1])),
      1,
    );
    return { scope, values: { distance, perLayer, gradient: gradient as Value } };
  }

  /** The trunk's last two stages have one width, of which the cases name one. */
  const widthsOf = ({ widths }: RawConfig) => [...widths, widths.at(-1)];
  const normOf = ({ impl }: RawConfig) => (impl === "torchmetrics" ? "official-evaluation" : "lpips");
  const pictures = (seeds: readonly number[], height: number, width: number) =>
    imagesToTensor(seeds.map((seed) => formulaImage(width, height, seed)));
  const isHashFilled = (name: string) => goldenJson(name).config.hashfill === true;
  const names = goldenNames("lpips_distance");

  describe.each(names.filter((name) => !isHashFilled(name)))("%s", (name) => {
    test("distance, terms and gradient", async () => {
      const { config, tolerance, tensor, below } = await loadGolden(name);
      const img0 = tensor("in.img0");
      const { values } = graph(img0.shape, widthsOf(config), normOf(config), config.normalize === true);
      const images = { img0, img1: tensor("in.img1") };
      const results = await runValues(engine, values, images, memoryWeights(below("w.")));
      expectWithin(results.distance!, tensor("out.distance"), tolerance, "distance");
      expectWithin(results.perLayer!, tensor("out.per_layer"), tolerance, "terms");
      expectWithin(results.gradient!, tensor("grad.img0"), tolerance, "gradient");
    });
  });

  test.each(names.filter(isHashFilled))("%s", async (name) => {
    const { config, tolerance, tensor } = await loadGolden(name);
    const { h, w, seeds0, seeds1 } = config.formula_image;
    const { scope, values } = graph([seeds0.length, 3, h, w], widthsOf(config), normOf(config));
    const manifest = goldenJson("manifest_lpips_vgg16").tensors as ManifestEntry[];
    expect(manifest.map(({ name, shape }) => `${name} ${shape}`).sort()).toEqual(
      [...scope.parameters.values()].map(({ name, shape }) => `${name} ${shape}`).sort(),
    );
    const images = { img0: pictures(seeds0, h, w), img1: pictures(seeds1, h, w) };
    const results = await runValues(engine, values, images, hashFilledWeights(manifest));
    expectWithin(results.distance!, tensor("out.distance"), tolerance, "distance");
    expectWithin(results.perLayer!, tensor("out.per_layer"), tolerance, "terms");
    const crop = { stop: config.grad_crop };
    const corner = results.gradient!.slice([undefined, undefined, crop, crop]);
    expectWithin(corner, tensor("grad.img0_crop"), tolerance, "gradient");
    const sums = (seeds0 as number[]).map((_, i) =>
      results
        .gradient!.row(i)
        .toFloat32()
        .reduce((sum, v) => sum + Math.abs(v), 0),
    );
    expectWithin(Tensor.float32(sums), tensor("grad.img0_abs_sum"), tolerance, "gradient sum");
  });

  test("dead channels have a finite gradient", async () => {
    const scope = createScope();
    const x = input("x", [1, 3, 16, 16]);
    const { distance } = lpips(scope, x, relu(mul(x, 0)), { widths: [4, 4, 4, 4, 4] });
    const [gradient] = gradients(reduceMean(distance), [x]);
    // All biases very negative: every ReLU of the trunk is off.
    const tensors = [...scope.parameters.values()].map(({ name, shape }) => {
      const value = name.endsWith("bias") ? -100 : 0.1;
      return [name, Tensor.full(shape, value)] as const;
    });
    const images = { x: pictures([3], 16, 16) };
    const results = await runValues(engine, { distance, gradient: gradient! }, images, memoryWeights(tensors));
    expect(results.distance!.toNested()).toEqual([0]);
    expect([...results.gradient!.toFloat32()].every((v) => v === 0)).toBe(true);
  });
});
