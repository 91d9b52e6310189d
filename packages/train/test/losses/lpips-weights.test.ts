/** Loading the published LPIPS files: names, checks, and what to do when they aren't there. */
import { Tensor } from "@dcae/core/graph";
import { lpipsWeights } from "@dcae/core/nets";
import { memoryWeights } from "@dcae/test-support/weights";
import { expect, test } from "vitest";
import { openLpipsWeights } from "../../src/trainer/open-lpips-weights.js";
import { goldenJson } from "../support/golden.js";

const manifest = goldenJson("manifest_lpips_vgg16");
const listed = manifest.tensors as { name: string; shape: number[]; torchvision?: string }[];
const sums = manifest["sum_of_published_lin_weights_v0.1"] as number[];
const size = (shape: readonly number[]) => shape.reduce((product, dim) => product * dim, 1);

const trunk = memoryWeights(
  listed.flatMap(({ torchvision, shape }) => (torchvision ? [[torchvision, Tensor.zeros(shape)] as const] : [])),
  "vgg16.pth",
);
/** Linear layers with the published sums, times `factor`. */
const linear = (factor = 1) =>
  memoryWeights(
    listed
      .filter(({ name }) => name.startsWith("lin"))
      .map(({ name, shape }, i) => [name, Tensor.full(shape, (factor * sums[i]!) / size(shape))] as const),
    "vgg.pth",
  );

test("torchvision's names become those of LPIPS", async () => {
  const weights = await lpipsWeights({ trunk, linear: linear() });
  expect([...weights.entries.keys()].sort()).toEqual(listed.map(({ name }) => name).sort());
  expect(weights.entries.get("net.slice5.28.weight")!.shape).toEqual([512, 512, 3, 3]);
});

test("what isn't version 0.1 is refused", async () => {
  await expect(lpipsWeights({ trunk, linear: linear(1.1) })).rejects.toThrow(
    /vgg\.pth: "lin0\.model\.1\.weight" sums up to 7\.61859/,
  );
  await expect(lpipsWeights({ trunk, linear: linear(-1) })).rejects.toThrow(/negative/);
  await expect(lpipsWeights({ trunk: linear(), linear: linear() })).rejects.toThrow(
    /"features\.0\.weight" should be \[64, 3, 3, 3\] and isn't/,
  );
});

test("absent files: the error says where to get them", async () => {
  const { DCAE_VGG16, DCAE_LPIPS_VGG } = process.env;
  delete process.env.DCAE_VGG16;
  delete process.env.DCAE_LPIPS_VGG;
  try {
    await expect(openLpipsWeights()).rejects.toMatchObject({
      message: "LPIPS: no file is given for VGG16 and the linear layers",
      hint: expect.stringMatching(/vgg16-397923af\.pth.*DCAE_VGG16.*--perceptual none/),
    });
    await expect(openLpipsWeights({ trunk: "/nowhere/vgg16.pth", linear: "/nowhere/vgg.pth" })).rejects.toThrow(
      /nowhere/,
    );
  } finally {
    if (DCAE_VGG16 !== undefined) process.env.DCAE_VGG16 = DCAE_VGG16;
    if (DCAE_LPIPS_VGG !== undefined) process.env.DCAE_LPIPS_VGG = DCAE_LPIPS_VGG;
  }
});
