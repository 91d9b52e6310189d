import { type Image, Tensor } from "@dcae/core";
import { createProgram, createScope, input, reduceMean } from "@dcae/core/graph";
import { lpips } from "@dcae/core/nets";
import { describe, it } from "vitest";
import { lpipsProgram } from "../../src/networks/lpips-program.js";
import { picturesToTensor } from "../../src/networks/pictures.js";
import { runOnce, useEngine } from "../support/engine.js";
import { expectGolden, goldenNames, loadGolden } from "../support/golden.js";
import { formulaImage, hashFilledWeights } from "../support/hash-fill.js";
import { named, optionsOf, rows } from "../support/lpips.js";

const engine = useEngine();

describe("LPIPS at full width with closed-form weights", () => {
  const manifests = { alex: "manifest_lpips_alex.json", vgg: "manifest_lpips_vgg16.json" };

  it.each(goldenNames("lpips_distance", ({ hashfill }) => hashfill === true))("%s", async (name) => {
    const golden = await loadGolden(name);
    const { h: height, w: width, seeds0, seeds1 } = golden.config.formula_image;
    const images = (seeds: number[]): Image[] => seeds.map((seed) => formulaImage(width, height, seed));
    const options = optionsOf(golden);
    const weights = hashFilledWeights(manifests[golden.config.net as keyof typeof manifests]);
    const [a, b] = [picturesToTensor(images(seeds0)), picturesToTensor(images(seeds1))];
    const { distance } = await runOnce(
      engine.current,
      lpipsProgram({ count: seeds0.length, height, width, ...options }),
      { a, b },
      weights,
    );
    expectGolden(golden, "out.distance", (distance as Tensor).toFloat32());

    const planes = (list: readonly Image[]) => {
      const data = new Float32Array(list.length * 3 * width * height);
      list.forEach((image, n) => {
        image.data.forEach((value, i) => {
          data[(n * 3 + (i % 3)) * width * height + Math.floor(i / 3)] = value / 127.5 - 1;
        });
      });
      return Tensor.float32(data, [list.length, 3, height, width]);
    };
    const shape = [seeds0.length, 3, height, width];
    const { terms, taps } = lpips(createScope(), input("a", shape), input("b", shape), options);
    const means = taps.map((tap, i) => [`mean${i}`, reduceMean(tap, [2, 3])]);
    const program = createProgram("taps", { ...named(terms), ...Object.fromEntries(means) });
    const inputs = { a: planes(images(seeds0)), b: planes(images(seeds1)) };
    const results = await runOnce(engine.current, program, inputs, weights);
    expectGolden(golden, "out.per_layer", rows(results));
    for (const i of taps.keys()) {
      expectGolden(golden, `out.feat${i}_channel_mean`, (results[`mean${i}`] as Tensor).toFloat32());
    }
  });
});
