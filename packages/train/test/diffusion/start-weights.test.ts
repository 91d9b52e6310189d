/** A training that starts from another network's weights is refused, and their file is closed; latents of another size are no obstacle. */
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { initialWeights, writeNpyFile } from "@dcae/core/checkpoint";
import { createRandom, Tensor } from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { denoiserParameters, openDenoiser, parseOfficialDenoiser, saveDenoiser } from "@dcae/diffusion";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test, vi } from "vitest";
import { parseDiffusionConfig } from "../../src/diffusion/diffusion-config.js";
import { trainDiffusion } from "../../src/diffusion/train-diffusion.js";

const folder = temporaryFolder();
const model = { patch_size: 1, hidden_size: 16, depth: 2, num_heads: 2 };

async function writeLatents(latents: string, side: number): Promise<string> {
  await mkdir(join(latents, "cat"), { recursive: true });
  for (const i of [0, 1]) {
    const values = createRandom(i).normal(new Float32Array(4 * side * side));
    await writeNpyFile(join(latents, "cat", `${i}.npy`), Tensor.float32(values, [4, side, side]));
  }
  return latents;
}

async function writeModel(path: string, changes: object): Promise<string> {
  const parsed = parseOfficialDenoiser("uvit", { ...model, in_channels: 4, input_size: 2, num_classes: 1, ...changes });
  const facts = { autoencoder: null, scalingFactor: null, shiftFactor: 0, classes: ["cat"] };
  await saveDenoiser(path, { ...parsed, ...facts }, initialWeights(denoiserParameters(parsed.config), 0));
  return path;
}

const configOf = (path: string, init: string, changes: object = {}) =>
  parseDiffusionConfig(
    {
      ...{ name: "tiny", about: "for tests", denoiser: { arch: "uvit", model }, data: { path }, init },
      ...{ batch: 2, steps: 1, evaluateOn: 2, optimizer: { schedule: { kind: "constant", lr: 1e-3 } }, ...changes },
    },
    "config",
  );

test("weights for smaller latents: the position embedding grows, and the message says so", async () => {
  const init = await writeModel(join(folder, "smaller"), {});
  const config = configOf(await writeLatents(join(folder, "latents-4"), 4), init, {
    ema: null,
    optimizer: { schedule: { kind: "constant", lr: 0 }, weightDecay: 0 },
  });
  const messages: string[] = [];
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const directory = join(folder, "grown");
  await trainDiffusion({ config, directory, engine, onMessage: (text) => messages.push(text) });
  await engine.dispose();
  expect(messages).toContain(`init ${init} is for latents of 2x2: its position embedding becomes one of 4x4`);
  const [before, after] = [await openDenoiser(init), await openDenoiser(join(directory, "model"))];
  const read = (name: string) =>
    Promise.all([before, after].map(async ({ weights }) => (await weights.entries.get(name)!.read()).toFloat32()));
  const [small, large] = await read("pos_embed");
  // Of time and class, 16 values each: as they were.
  expect(large!.length).toBe((2 + 16) * 16);
  expect(large!.subarray(0, 32)).toEqual(small!.subarray(0, 32));
  const [weight, same] = await read("patch_embed.proj.weight");
  expect(same).toEqual(weight);
  await before.weights.close();
  await after.weights.close();
});

test("weights of a deeper network", async () => {
  const latents = await writeLatents(join(folder, "latents"), 2);
  const init = await writeModel(join(folder, "deeper"), { depth: 4 });

  // Whatever file is read must be closed in the end: its descriptor is then -1.
  const handle = await open(join(init, "config.json"));
  const prototype = Object.getPrototypeOf(handle) as typeof handle;
  await handle.close();
  const read = vi.spyOn(prototype, "read");
  const engine = await createEngine({ device: "cpu", threads: 1 });
  try {
    const config = configOf(latents, init);
    await expect(trainDiffusion({ config, directory: join(folder, "run"), engine })).rejects.toThrow("this uvit");
    expect(read.mock.contexts.length).toBeGreaterThan(0);
    for (const { fd } of read.mock.contexts as { readonly fd: number }[]) expect(fd).toBe(-1);
  } finally {
    read.mockRestore();
    await engine.dispose();
  }
});
