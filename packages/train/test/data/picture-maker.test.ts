/** Threads that make pictures, and what happens when one of them dies. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigError, EngineError } from "@dcae/core";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterAll, expect, test } from "vitest";
import { createPictureMaker } from "../../src/data/picture-maker.js";

const folder = temporaryFolder();
const view = { size: 1, corner: null, flip: false };
const scene = (seed: number) => ({ kind: "scene" as const, seed });

/** Answers with the seed as red; seed 13 ends the thread. */
const script = pathToFileURL(join(folder, "worker.mjs"));
await writeFile(
  script,
  `import { parentPort } from "node:worker_threads";
parentPort.on("message", ({ id, recipe }) => {
  if (recipe.seed === 13) process.exit(3);
  parentPort.postMessage({ id, image: { width: 1, height: 1, channels: 3, data: Uint8Array.of(recipe.seed, 0, 0) } });
});
`,
);

const maker = createPictureMaker(2, script);
afterAll(() => maker.close());

test("a thread that died fails its pictures, isn't chosen again, and is replaced", async () => {
  const red = async (seed: number) => (await maker.make(scene(seed), view)).data[0];
  expect(await Promise.all([1, 2, 3].map(red))).toEqual([1, 2, 3]);
  for (let round = 0; round < 3; round++) {
    const failure = maker.make(scene(13), view);
    await expect(failure).rejects.toThrow(EngineError);
    await expect(failure).rejects.toThrow(/a thread that reads pictures ended with exit code 3/);
    expect(await Promise.all([4, 5, 6, 7, 8].map(red))).toEqual([4, 5, 6, 7, 8]);
  }
});

test("no thread without its script, none after the end", async () => {
  expect(() => createPictureMaker(1, pathToFileURL(join(folder, "absent.js")))).toThrow(ConfigError);
  const closed = createPictureMaker(1, script);
  await closed.close();
  await expect(closed.make(scene(1), view)).rejects.toThrow(/were closed/);
});
