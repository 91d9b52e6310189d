// @ts-check
/**
 * The throughput table of the benchmark page, from the JSON that `dcae bench autoencoder --optimize off,on -o FILE` writes:
 * a plain and a rewritten measurement per row.
 */
import { readFileSync } from "node:fs";

const FILES = ["./measurements/f32c32.json", "./measurements/small-f32.json"];

/** @param {any} entry */
const key = ({ model, size, batch, part }) => [model, part, size, batch].join();

/** @param {string} file */
function table(file) {
  const result = JSON.parse(readFileSync(file, "utf8"));
  /** @type {Map<string, { plain?: any, optimized?: any }>} */
  const pairs = new Map();
  for (const entry of result.entries) {
    if (entry.measurement === undefined) throw new Error(`${file}: ${key(entry)} failed: ${entry.problem}`);
    const pair = pairs.get(key(entry)) ?? {};
    pair[entry.optimize ? "optimized" : "plain"] = entry;
    pairs.set(key(entry), pair);
  }
  const milliseconds = (/** @type {any} */ { measurement, batch }) => (1000 * measurement.times.median) / batch;
  const rows = [...pairs.values()].map(({ plain, optimized }) => ({
    model: optimized.model.split("/").pop(),
    part: optimized.part,
    size: optimized.size,
    batch: optimized.batch,
    plainMs: milliseconds(plain),
    optimizedMs: milliseconds(optimized),
    spread: Math.max(plain.measurement.times.spread, optimized.measurement.times.spread),
    speedup: optimized.speedup,
    gflops: optimized.gflops,
    plainGigabytes: (plain.measurement.peakRssMiB * 2 ** 20) / 1e9,
    optimizedGigabytes: (optimized.measurement.peakRssMiB * 2 ** 20) / 1e9,
  }));
  const { machine, runtime, peaks, date, iterations } = result;
  return { rows, machine, runtime, peak: peaks[0].gflops, date: date.slice(0, 10), iterations };
}

export default {
  watch: FILES,
  /** @param {string[]} files */
  load: (files) => files.map(table),
};
