import type { Image } from "@dcae/core";
import { ClassConditionalPipeline } from "@dcae/diffusion";
import type { PictureSource } from "@dcae/eval";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterAll, beforeAll, expect, test } from "vitest";
import { drawClasses, type SampledSourceOptions, sampledSource } from "../../src/evaluation/pictures.js";
import { makeDenoiser } from "../support/tiny-denoisers.js";
import { makeModel } from "../support/tiny-models.js";

const folder = temporaryFolder();
let pipeline: ClassConditionalPipeline;
beforeAll(async () => {
  await makeModel(folder, "autoencoder");
  const model = await makeDenoiser(folder, "uvit", { autoencoder: "../autoencoder" });
  pipeline = await ClassConditionalPipeline.fromPretrained(model, { device: "cpu", threads: 1 });
});
afterAll(() => pipeline.dispose());

const options: SampledSourceOptions = {
  count: 8,
  classes: [0, 2],
  sampling: { steps: 3, guidance: 2, seed: 4 },
  batchSize: 3,
  protocol: { rounding: "truncate-half-up" },
  settings: ["cpu", "float32"],
  signal: new AbortController().signal,
};

async function picturesOf(source: PictureSource, start: number): Promise<[number, Image | undefined][]> {
  const pictures: [number, Image | undefined][] = [];
  for await (const { index, image } of source.read(start)) pictures.push([index, image]);
  return pictures;
}

test("the same pictures come from any position on, also within a batch", async () => {
  const source = await sampledSource(pipeline, options);
  const whole = await picturesOf(source, 0);
  expect(whole.map(([index]) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  for (const start of [3, 4, 7]) expect(await picturesOf(source, start)).toEqual(whole.slice(start));
});

test("the fingerprint changes with everything that decides the pictures", async () => {
  const { fingerprint } = await sampledSource(pipeline, options);
  expect((await sampledSource(pipeline, options)).fingerprint).toBe(fingerprint);
  const { sampling } = options;
  const changes: Partial<SampledSourceOptions>[] = [
    { count: 9 },
    { classes: [0, 1] },
    { sampling: { ...sampling, seed: 5 } },
    { sampling: { ...sampling, guidance: 3 } },
    { batchSize: 4 },
    { settings: ["cpu", "float16"] },
  ];
  for (const change of changes) {
    expect((await sampledSource(pipeline, { ...options, ...change })).fingerprint).not.toBe(fingerprint);
  }
});

test("classes are uniform, and those of a shorter series are its beginning", () => {
  const classes = drawClasses(9000, [1, 5, 7], 0);
  for (const label of [1, 5, 7]) {
    const share = classes.filter((drawn) => drawn === label).length / classes.length;
    expect(Math.abs(share - 1 / 3)).toBeLessThan(0.02);
  }
  expect(drawClasses(100, [1, 5, 7], 0)).toEqual(classes.slice(0, 100));
  expect(drawClasses(100, [1, 5, 7], 1)).not.toEqual(classes.slice(0, 100));
  expect(drawClasses(2, null, 0)).toEqual([0, 0]);
});
