// From the model of a training to the one that @dcae/core carries: measures the scaling factor (1 / rms of latents, training.md
// section 10) on pictures, and writes the checkpoint in float16.
//
//   node experiments/pack-model.mjs <model folder> <folder of pictures> <output folder> [--size 256] [--count 240]
import { parseArgs } from "node:util";
import { loadAutoencoder } from "@dcae/core";
import { decodeImage, dmCrop, imageToTensor } from "@dcae/core/image";
import { latentStatistics, openCheckpoint, saveCheckpoint } from "@dcae/core/internal";
import { fileSource } from "../dist/internal/index.js";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { size: { type: "string", default: "256" }, count: { type: "string", default: "240" } },
});
const [folder, pictures, out] = positionals;
if (out === undefined) throw new Error("give the model's folder, a folder of pictures and the output folder");

const source = await fileSource(pictures);
const count = Math.min(Number(values.count), source.count);
const model = await loadAutoencoder(folder, { device: "cpu" });
const statistics = latentStatistics();
for (let i = 0; i < count; i++) {
  // Evenly over the folder, so that every class takes part.
  const { path } = await source.recipe(Math.floor((i * source.count) / count));
  statistics.add(await model.encode(imageToTensor(dmCrop(await decodeImage(path), Number(values.size)))));
}
await model.dispose();
const { mean, rms, std, scalingFactor } = statistics.result();
const opened = await openCheckpoint(folder);
const description = { ...opened.model, scalingFactor: Number(scalingFactor.toPrecision(4)) };
await saveCheckpoint(description, opened.weights, out, { dtype: "float16", overwrite: true });
await opened.weights.close();
console.log(JSON.stringify({ out, count, mean, rms, std, scalingFactor: description.scalingFactor }));
