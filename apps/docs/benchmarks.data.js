// @ts-check
/** What the benchmark page shows: tables of measurements, and what `dcae bench autoencoder --optimize off,on -o FILE` wrote. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = join(dirname(fileURLToPath(import.meta.url)), "measurements");

const TABLES = [
  "pytorch-default",
  "memory-pytorch",
  "pytorch",
  "pytorch-avx2",
  "memory-pytorch-avx2",
  "pytorch-large",
  "int8",
  "memory-cli",
  "denoising",
  "diffusion-training",
  "denoisers-pytorch",
  "training-pytorch-avx2",
  "training-step",
];
/** Files of `dcae bench`, with the command that wrote each. */
const BENCHES = {
  f32c32:
    "dcae bench autoencoder dc-ae-f32c32-in-1.0 --size 256 --batch-size 1,4 --optimize off,on --warmup 1 --iterations 5 -o f32c32.json",
  "small-f32":
    "dcae bench autoencoder small-f32 --size 256,512 --batch-size 1,4,16 --optimize off,on --warmup 2 --iterations 5 -o small-f32.json",
};
const REQUIRED = ["series", "unit", "rows", "machine", "instructionSet", "versions", "date", "conditions"];

/** @param {string} name */
const read = (name) => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));

/** @param {string} name */
function table(name) {
  const data = read(name);
  const absent = REQUIRED.filter((key) => !data[key]);
  if (absent.length > 0) throw new Error(`measurements/${name}.json says nothing of ${absent.join(", ")}`);
  return data;
}

/** @param {string} name @param {string} command */
function bench(name, command) {
  const { entries, machine, instructionSet, runtime, peaks, date, iterations } = read(name);
  if (!instructionSet)
    throw new Error(`measurements/${name}.json: add "instructionSet", which dcae bench can't know, as in "AVX2"`);
  /** @type {Map<string, (number | null)[]>} */
  const rows = new Map();
  for (const { part, size, batch, optimize, measurement, problem } of entries) {
    if (measurement === undefined) throw new Error(`measurements/${name}.json: ${part} failed: ${problem}`);
    const label = `${part}, ${size}×${size}, batch ${batch}`;
    const values = rows.get(label) ?? [null, null];
    values[optimize ? 1 : 0] = (1000 * measurement.times.median) / batch;
    rows.set(label, values);
  }
  return {
    series: ["plain", "rewritten"],
    unit: "ms",
    ratio: true,
    machine: `${machine.threads} cores of an ${machine.cpu}, ${machine.memoryGiB} GiB`,
    instructionSet,
    versions: `${runtime}, Node ${machine.node.slice(1)}`,
    date: date.slice(0, 10),
    conditions: `Per picture, float32, medians of ${iterations} runs, each case in a process of its own. Products of large matrices reach ${peaks[0].gflops.toFixed(0)} GFLOP/s there.`,
    command,
    rows: [...rows].map(([label, values]) => ({ label, values })),
  };
}

export default {
  watch: ["./measurements/*.json"],
  load: () => ({
    ...Object.fromEntries(TABLES.map((name) => [name, table(name)])),
    ...Object.fromEntries(Object.entries(BENCHES).map(([name, command]) => [name, bench(name, command)])),
  }),
};
