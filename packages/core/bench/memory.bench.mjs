// @ts-check
/**
 * Peak resident memory of a process: what was predicted for a model under `maxMemory`, what it took, and how much of that is
 * loading.
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

/** @param {{ model: string, form: string, part: "encode" | "decode", size: number }} row */
async function measure({ model, form, part, size }) {
  const resident = () => process.resourceUsage().maxRSS * 1024;
  const ae = await AutoencoderDC.fromPretrained(model, { device: "cpu", threads: 1, optimize: form === "optimized" });
  const loaded = resident();
  const shape = part === "encode" ? [1, 3, size, size] : ae.latentShape([1, 3, size, size]);
  const predicted = ae.planMemory(part, shape, { maxMemory: 1e12 }).bytes;
  // Not zeros: pages that nobody wrote to take no memory.
  await ae[part](Tensor.full(shape, 0.5));
  await ae.dispose();
  return { loaded, predicted, peak: resident() };
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
  console.log("form       part     size  predicted  measured  ratio  before the run");
  for (const size of values.sizes.split(",").map(Number)) {
    for (const form of FORMS) {
      for (const part of /** @type {const} */ (["encode", "decode"])) {
        const child = fork(fileURLToPath(import.meta.url), ["child"]);
        child.send({ model, form, part, size });
        /** @type {Awaited<ReturnType<typeof measure>>} */
        const result = await new Promise((resolve, reject) => {
          child.once("message", (message) => resolve(/** @type {any} */ (message)));
          child.once("exit", (code, signal) => reject(new Error(`${form} ${part} ${size}: ended (${code ?? signal})`)));
        });
        const { predicted, peak, loaded } = result;
        rows.push({ form, part, size, ...result });
        const ratio = (predicted / peak).toFixed(2).padStart(5);
        console.log(
          `${form.padEnd(10)} ${part}  ${String(size).padStart(5)}  ${megabytes(predicted)} ${megabytes(peak)}  ${ratio}  ${megabytes(loaded)}`,
        );
      }
    }
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ model, rows }, null, 2)}\n`);
}
