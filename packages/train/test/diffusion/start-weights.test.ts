/** A training that starts from another network's weights is refused, and their file is closed. */
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { initialWeights, writeNpyFile } from "@dcae/core/checkpoint";
import { createRandom, Tensor } from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { denoiserParameters, parseOfficialDenoiser, saveDenoiser } from "@dcae/diffusion";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test, vi } from "vitest";
import { parseDiffusionConfig } from "../../src/diffusion/diffusion-config.js";
import { trainDiffusion } from "../../src/diffusion/train-diffusion.js";

const folder = temporaryFolder();
const model = { patch_size: 1, hidden_size: 16, depth: 2, num_heads: 2 };

test("weights of a deeper network", async () => {
  const [latents, init] = [join(folder, "latents"), join(folder, "deeper")];
  await mkdir(join(latents, "cat"), { recursive: true });
  for (const i of [0, 1]) {
    const values = createRandom(i).normal(new Float32Array(4 * 2 * 2));
    await writeNpyFile(join(latents, "cat", `${i}.npy`), Tensor.float32(values, [4, 2, 2]));
  }
  const deeper = parseOfficialDenoiser("uvit", { ...model, depth: 4, in_channels: 4, input_size: 2, num_classes: 1 });
  const facts = { autoencoder: null, scalingFactor: null, shiftFactor: 0, classes: ["cat"] };
  await saveDenoiser(init, { ...deeper, ...facts }, initialWeights(denoiserParameters(deeper.config), 0));

  // Whatever file is read must be closed in the end: its descriptor is then -1.
  const handle = await open(join(init, "config.json"));
  const prototype = Object.getPrototypeOf(handle) as typeof handle;
  await handle.close();
  const read = vi.spyOn(prototype, "read");
  const engine = await createEngine({ device: "cpu", threads: 1 });
  try {
    const config = parseDiffusionConfig(
      {
        ...{ name: "tiny", about: "for tests", denoiser: { arch: "uvit", model }, data: { path: latents }, init },
        ...{ batch: 2, steps: 1, evaluateOn: 2, optimizer: { schedule: { kind: "constant", lr: 1e-3 } } },
      },
      "config",
    );
    await expect(trainDiffusion({ config, directory: join(folder, "run"), engine })).rejects.toThrow("this uvit");
    expect(read.mock.contexts.length).toBeGreaterThan(0);
    for (const { fd } of read.mock.contexts as { readonly fd: number }[]) expect(fd).toBe(-1);
  } finally {
    read.mockRestore();
    await engine.dispose();
  }
});
