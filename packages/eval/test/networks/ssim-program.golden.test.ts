import { createImage, type Tensor } from "@dcae/core";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { runProgram } from "@dcae/test-support/run-graph";
import { describe, expect, it } from "vitest";
import { ssim, ssimProgram } from "../../src/metrics/ssim.js";
import { picturesToTensor } from "../../src/networks/pictures.js";
import { goldenNames, loadGolden } from "../support/golden.js";

const engine = useEngine();

describe("SSIM as a program", () => {
  it.each(goldenNames("psnr_ssim", ({ uint8 }) => uint8 === true))("%s", async (name) => {
    const golden = await loadGolden(name);
    const images = ["in.ref", "in.pred"].map((key) => {
      const tensor = golden.tensor(key);
      const [count, , height, width] = tensor.shape as [number, number, number, number];
      return Array.from({ length: count }, (_, n) =>
        createImage(width, height, tensor.row(n).transpose([1, 2, 0]).data as Uint8Array),
      );
    }) as [ReturnType<typeof createImage>[], ReturnType<typeof createImage>[]];
    const [first] = images[0];
    if (first === undefined) throw new Error("the case has no pictures");
    const { width, height } = first;
    const program = ssimProgram(images[0].length, height, width);
    const inputs = { a: picturesToTensor(images[0]), b: picturesToTensor(images[1]) };
    const { whole, cropped } = await runProgram(engine, program, inputs);
    expectGolden(golden, "out.ssim", (whole as Tensor).toFloat32());
    expectGolden(golden, "out.ssim_cropped", (cropped as Tensor).toFloat32());
    images[0].forEach((image, n) => {
      const exact = ssim(image.data, (images[1][n] as typeof image).data, { width, height });
      expect((whole as Tensor).toFloat32()[n]).toBeCloseTo(exact.whole, 5);
    });
  });

  it("refuses pictures smaller than the window", () => {
    expect(() => ssimProgram(1, 64, 10)).toThrow(/SSIM needs pictures of at least 11 pixels/);
  });
});
