// @ts-check
/**
 * Peak resident memory of a process: what was predicted for a model, what it took, how much of that is loading, and what it takes
 * under a `maxMemory` of 0.85 times the prediction, where a peak above the limit is marked.
 *
 *   node bench/memory.bench.mjs [--model FOLDER] [--sizes 1024,2048] [--json FILE]
 *
 * One process per row. The figures are those of this machine's instruction set and allocator.
 */
import { fork } from "node:child_process";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { AutoencoderDC, bundledModelPath, Tensor } from "../dist/index.js";

const FORMS = /** @type {const} */ (["plain", "optimized"]);

/** Of what the whole picture is predicted to take. */
const LIMIT = 0.85;

/** @param {{ model: string, form: string, part: "encode" | "decode", size: number, limit: number | undefined }} row */
async function measure({ model, form, part, size, limit }) {
  const resident = () => process.resourceUsage().maxRSS * 1024;
  const ae = await AutoencoderDC.fromPretrained(model, { device: "cpu", threads: 1, optimize: form === "optimized" });
  const loaded = resident();
  const shape = part === "encode" ? [1, 3, size, size] : ae.latentShape([1, 3, size, size]);
  const whole = ae.planMemory(part, shape, { maxMemory: 1e12 }).bytes;
  const maxMemory = limit === undefined ? 1e12 : Math.round(limit * whole);
  const { tiles } = ae.planMemory(part, shape, { maxMemory });
  // Not zeros: pages that nobody wrote to take no memory.
  await ae[part](Tensor.full(shape, 0.5), { maxMemory });
  await ae.dispose();
  return { loaded, predicted: whole, limit: maxMemory, tiles, peak: resident() };
}

/**
 * @param {Parameters<typeof measure>[0]} row
 * @returns {ReturnType<typeof measure>}
 */
function inAProcess(row) {
  const child = fork(fileURLToPath(import.meta.url), ["child"]);
  child.send(row);
  return new Promise((resolve, reject) => {
    child.once("message", (message) => resolve(/** @type {any} */ (message)));
    child.once("exit", (code, signal) => reject(new Error(`${JSON.stringify(row)}: ended (${code ?? signal})`)));
  });
}

if (process.argv[2] === "child") {
  process.once("message", async (row) => {
    process.send?.(await measure(/** @type {any} */ (row)), () => process.disconnect());
  });
} else {
  const { values } = parseArgs({
    options: { model: { type: "string" }, sizes: { type: "string", default: "1024,2048" }, json: { type: "string" } },
  });
  const model = values.model ?? bundledModelPath();
  const rows = [];
  const megabytes = (/** @type {number} */ bytes) => `${(bytes / 1e6).toFixed(0)} MB`.padStart(9);
  console.log(`weights: ${megabytes(statSync(join(model, "model.safetensors")).size).trim()}`);
  console.log("form       part     size  predicted  measured  ratio  before run      limit tiles  measured");
  for (const size of values.sizes.split(",").map(Number)) {
    for (const form of FORMS) {
      for (const part of /** @type {const} */ (["encode", "decode"])) {
        const row = { model, form, part, size };
        const whole = await inAProcess({ ...row, limit: undefined });
        const limited = await inAProcess({ ...row, limit: LIMIT });
        rows.push({ form, part, size, whole, limited });
        const ratio = (whole.predicted / whole.peak).toFixed(2).padStart(5);
        const mark = limited.peak > limited.limit ? "  above the limit" : "";
        console.log(
          `${form.padEnd(10)} ${part}  ${String(size).padStart(5)}  ${megabytes(whole.predicted)} ${megabytes(whole.peak)}  ${ratio}  ${megabytes(whole.loaded)}  ${megabytes(limited.limit)} ${String(limited.tiles).padStart(5)} ${megabytes(limited.peak)}${mark}`,
        );
      }
    }
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ model, rows }, null, 2)}\n`);
}
