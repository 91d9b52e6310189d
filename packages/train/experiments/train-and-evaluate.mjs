// One training of an experiment, which goes on where a killed one stopped, and the errors of its model on the test pictures.
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadAutoencoder } from "@dcae/core";
import { decodeImage, dmCrop, imageToTensor, psnr, tensorToImage } from "@dcae/core/image";
import { parseTrainingConfig, trainAutoencoder } from "../dist/index.js";

/**
 * Trains the one phase of a configuration.
 *
 * @returns its model's folder and its losses, one per update
 */
export async function train(engine, directory, phase, settings) {
  const config = parseTrainingConfig({
    name: "miniature",
    about: "one run of an experiment",
    perceptual: "none",
    ...settings,
    phases: [{ checkpointEvery: 100, evaluateEvery: 1_000_000, keep: 1, ...phase }],
  });
  await trainAutoencoder({ config, directory, engine });
  const run = join(directory, phase.name);
  const rows = (await readFile(join(run, "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  return { model: join(run, "model"), losses: rows.filter(({ l1 }) => l1 !== undefined).map(({ l1 }) => l1) };
}

/**
 * Mean L1 in the range [-1, 1], and mean PSNR of 8-bit pictures, at a size.
 *
 * @param latentChannels adaptive models: only the first channels
 */
export async function evaluate(model, folder, size, threads, latentChannels) {
  const autoencoder = await loadAutoencoder(model, { device: "cpu", threads });
  try {
    const [errors, ratios] = [[], []];
    for (const name of readdirSync(folder, { recursive: true })
      .filter((file) => file.endsWith(".png"))
      .sort()) {
      const picture = dmCrop(await decodeImage(join(folder, name)), size);
      const x = imageToTensor(picture);
      const y = await autoencoder.decode(
        await autoencoder.encode(x, latentChannels === undefined ? {} : { latentChannels }),
      );
      const [a, b] = [x.toFloat32(), y.toFloat32()];
      errors.push(a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length);
      ratios.push(psnr(picture, tensorToImage(y)));
    }
    return { l1: mean(errors), psnr: mean(ratios) };
  } finally {
    await autoencoder.dispose();
  }
}

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
export const rounded = (value) => Number(value.toPrecision(4));
