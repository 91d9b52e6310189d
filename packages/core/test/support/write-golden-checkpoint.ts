/** A golden autoencoder case as an official checkpoint folder. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dcAeCases, officialConfigOf } from "@dcae/test-support/golden-dcae";
import { writeSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";

export async function writeGoldenCheckpoint(name: string, folder: string): Promise<string> {
  const golden = await dcAeCases.load(name);
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  const config = { config: officialConfigOf(golden), scaling_factor: 0.5 };
  writeFileSync(join(path, "config.json"), JSON.stringify(config));
  await writeSafetensorsFile(join(path, "model.safetensors"), golden.weights.entries.values());
  return path;
}
