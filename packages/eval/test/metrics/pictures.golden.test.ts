import { createImage, psnr } from "@dcae/core";
import { dmCrop, psnrOf } from "@dcae/core/image";
import { expectGolden } from "@dcae/test-support/golden";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { describe, expect, it } from "vitest";
import { ssim, ssimMap } from "../../src/metrics/ssim.js";
import { goldenNames, loadGolden } from "../support/golden.js";

describe.each(goldenNames("psnr_ssim"))("%s", (name) => {
  it("PSNR, SSIM with both borders, and the map of the first picture", async () => {
    const golden = await loadGolden(name);
    const [reference, prediction] = [golden.tensor("in.ref"), golden.tensor("in.pred")];
    const [count, channels, height, width] = reference.shape as [number, number, number, number];
    // Float cases hold values of 0 to 1.
    const item = (tensor: typeof reference, n: number) => tensor.row(n).cast("float64").data as Float64Array;
    const pairs = Array.from({ length: count }, (_, n) => [item(reference, n), item(prediction, n)] as const);
    const size = { width, height, channels, planar: true };
    const range = golden.config.uint8 === true ? 255 : 1;
    expectGolden(
      golden,
      "out.psnr",
      pairs.map(([a, b]) => psnrOf(a, b, range)),
    );
    expectGolden(
      golden,
      "out.ssim",
      pairs.map(([a, b]) => ssim(a, b, { ...size, range }).whole),
    );
    const cropped = pairs.map(([a, b]) => ssim(a, b, { ...size, range }).cropped);
    expectGolden(golden, "out.ssim_cropped", cropped);
    // The classic definition, Gaussian window and valid region, by another library.
    expectGolden(golden, "out.ssim_skimage_gaussian", cropped);
    const [a, b] = pairs[0] as (typeof pairs)[number];
    const plane = (data: Float64Array, channel: number) => ({ data, offset: channel * width * height, stride: 1 });
    const maps = Array.from({ length: channels }, (_, c) =>
      Array.from(ssimMap(plane(a, c), plane(b, c), width, height, range)),
    );
    expectGolden(golden, "out.ssim_map", maps.flat());
  });
});

describe("8-bit pictures", () => {
  it("interleaved channels give the same values, and core's PSNR agrees", async () => {
    const [name] = goldenNames("psnr_ssim", ({ uint8 }) => uint8 === true) as [string];
    const golden = await loadGolden(name);
    const tensors = [golden.tensor("in.ref"), golden.tensor("in.pred")] as const;
    const [, channels, height, width] = tensors[0].shape as [number, number, number, number];
    const [a, b] = tensors.map((tensor) =>
      createImage(width, height, tensor.row(0).transpose([1, 2, 0]).data as Uint8Array),
    ) as [ReturnType<typeof createImage>, ReturnType<typeof createImage>];
    const planes = tensors.map((tensor) => tensor.row(0).cast("float64").data as Float64Array) as [
      Float64Array,
      Float64Array,
    ];
    const { whole } = ssim(...planes, { width, height, channels, planar: true });
    expect(ssim(a.data, b.data, { width, height }).whole).toBeCloseTo(whole, 12);
    expect(psnrOf(a.data, b.data)).toBe(psnr(a, b));
  });

  it("refuses pictures smaller than the window", () => {
    const tiny = new Uint8Array(10 * 20 * 3);
    expect(() => ssim(tiny, tiny, { width: 10, height: 20 })).toThrow(/10x20 is smaller than the window of 11x11/);
  });
});

describe("dm_crop", () => {
  it("crops as every protocol here does", async () => {
    const golden = await loadGolden("dm_crop");
    for (const { name, h, w, seed, size } of golden.config.cases) {
      const cropped = dmCrop(formulaImage(w, h, seed), size);
      const expected = golden.tensor(`out.${name}`).transpose([1, 2, 0]);
      expect(expected.shape, name).toEqual([cropped.height, cropped.width, 3]);
      const pixels = expected.data as Uint8Array;
      const worst = cropped.data.reduce((most, value, i) => Math.max(most, Math.abs(value - (pixels[i] as number))), 0);
      // Stricter than the case's tolerance of 1.
      expect(worst, name).toBe(0);
    }
  });
});
