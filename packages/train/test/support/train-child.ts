/** A process that trains: arguments are the configuration as JSON and the folder. */
import { createEngine } from "@dcae/core";
import { parseTrainingConfig } from "../../src/configs/schema.js";
import { trainAutoencoder } from "../../src/trainer/train-autoencoder.js";
import { stopSignals } from "../../src/trainer/training-run.js";

const [config, directory] = process.argv.slice(2) as [string, string];
const engine = await createEngine({ device: "cpu", threads: 1 });
const { signal } = stopSignals();
const results = await trainAutoencoder({
  config: parseTrainingConfig(JSON.parse(config)),
  directory,
  engine,
  signal,
  progress: () => ({ show: ({ step }) => process.stdout.write(`${step}\n`), clear: () => undefined }),
});
await engine.dispose();
process.stdout.write(`${results.at(-1)?.status ?? "finished"}\n`);
