/** The bundled diffusion models by their names, and what is close to a name. */
import { expect, test } from "vitest";
import { ClassConditionalPipeline } from "../src/pipeline/class-conditional-pipeline.node.js";
import { bundledDenoiserPath, openDenoiser } from "../src/pipeline/open-denoiser.node.js";

const noNetwork = (async () => {
  throw new Error("no request should be made");
}) as typeof fetch;

test.each([
  ["usit-scenes", 128],
  ["usit-scenes-256", 256],
] as const)("the README's first lines with %s, without a network", async (name, side) => {
  const pipeline = await ClassConditionalPipeline.fromPretrained(name, { device: "cpu", fetch: noNetwork });
  const { images } = await pipeline.generate({ labels: ["city"], guidance: 2, steps: 1, seed: 0 });
  await pipeline.dispose();
  expect(images.map(({ width, height }) => [width, height])).toEqual([[side, side]]);
  expect(bundledDenoiserPath(name)).toContain(name);
});

test("what is close to its name, and options that aren't known", async () => {
  await expect(openDenoiser("usit-scene", { fetch: noNetwork })).rejects.toThrow(
    'usit-scene: no such file or folder, and not the name of a published diffusion model; did you mean "usit-scenes"?',
  );
  await expect(ClassConditionalPipeline.fromPretrained("usit-scenes", { devic: "cpu" } as object)).rejects.toThrow(
    'fromPretrained: unknown option "devic"; did you mean "device"?',
  );
});
