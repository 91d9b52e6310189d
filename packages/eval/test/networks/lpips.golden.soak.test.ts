import type { Image, Tensor } from "@dcae/core";
import { createProgram, createScope, input, reduceMean } from "@dcae/core/graph";
import { imagesToTensor } from "@dcae/core/image";
import { lpips } from "@dcae/core/nets";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { networkWeights } from "@dcae/test-support/network-weights";
import { runProgram } from "@dcae/test-support/run-graph";
import { describe, it } from "vitest";
import { picturesToTensor } from "../../src/networks/pictures.js";
import { lpipsProgram } from "../../src/runners/pair-metrics.js";
import { goldenNames, loadGolden } from "../support/golden.js";
import { named, optionsOf, rows } from "../support/lpips.js";

const engine = useEngine();

describe("LPIPS at full width with closed-form weights", () => {
  const manifests = { alex: "manifest_lpips_alex", vgg: "manifest_lpips_vgg16" };

  it.each(goldenNames("lpips_distance", ({ hashfill }) => hashfill === true))("%s", async (name) => {
    const golden = await loadGolden(name);
    const { h: height, w: width, seeds0, seeds1 } = golden.config.formula_image;
    const images = (seeds: number[]): Image[] => seeds.map((seed) => formulaImage(width, height, seed));
    const options = optionsOf(golden);
    const weights = networkWeights(manifests[golden.config.net as keyof typeof manifests]);
    const [a, b] = [picturesToTensor(images(seeds0)), picturesToTensor(images(seeds1))];
    const { distance } = await runProgram(
      engine,
      lpipsProgram({ count: seeds0.length, height, width, ...options }),
      { a, b },
      weights,
    );
    expectGolden(golden, "out.distance", (distance as Tensor).toFloat32());

    const shape = [seeds0.length, 3, height, width];
    const { terms, taps } = lpips(createScope(), input("a", shape), input("b", shape), options);
    const means = taps.map((tap, i) => [`mean${i}`, reduceMean(tap, [2, 3])]);
    const program = createProgram("taps", { ...named(terms), ...Object.fromEntries(means) });
    const inputs = { a: imagesToTensor(images(seeds0)), b: imagesToTensor(images(seeds1)) };
    const results = await runProgram(engine, program, inputs, weights);
    expectGolden(golden, "out.per_layer", rows(results));
    for (const i of taps.keys()) {
      expectGolden(golden, `out.feat${i}_channel_mean`, (results[`mean${i}`] as Tensor).toFloat32());
    }
  });
});
