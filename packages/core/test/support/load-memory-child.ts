/**
 * A process of its own for loading.soak.test.ts: loads a checkpoint, encodes and decodes once, and prints its memory before loading,
 * at its peak, and what of it are pages of files that programs share.
 */
import { readFileSync } from "node:fs";
import { createRandom, Tensor } from "../../src/graph/index.js";
import { AutoencoderDC, type LoadOptions } from "../../src/internal/index.js";

const [path, options, ...heights] = process.argv.slice(2) as [string, string, ...string[]];

function kilobytes(file: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/self/${file}`, "utf8"))?.[1]) * 1024;
}

const given = JSON.parse(options) as LoadOptions;
const noise = Tensor.float32(
  createRandom(1, "calibration").normal(new Float32Array(3 * 64 * 64), 0, 0.4),
  [1, 3, 64, 64],
);
const model = await AutoencoderDC.fromPretrained(path, {
  device: "cpu",
  threads: 1,
  ...given,
  ...(given.dtype === "int8" ? { calibration: { pictures: [noise] } } : {}),
  maxPrograms: 2 * heights.length,
});
const before = kilobytes("status", "VmHWM");
const mapped: number[] = [];
for (const height of heights) {
  const latent = await model.encode(Tensor.full([1, 3, Number(height), 64], 0.5));
  await model.decode(latent);
  // The proportional share: pages that are mapped twice count once.
  mapped.push(kilobytes("smaps_rollup", "Pss_File"));
}
const peak = kilobytes("status", "VmHWM");
await model.dispose();
process.stdout.write(JSON.stringify({ before, peak, mapped }));
