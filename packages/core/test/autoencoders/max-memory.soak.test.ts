/** The option maxMemory in a process of its own: what the system counts as resident stays below the limit. */
import { execFile } from "node:child_process";
import { copyFile, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

describe.runIf(process.platform === "linux")("peak resident memory of a process", () => {
  // Inside the package, so that the bundle finds the runtime beside it.
  const folder = fileURLToPath(new URL("../../node_modules/.peak-memory/", import.meta.url));
  const child = `${folder}child.mjs`;
  beforeAll(async () => {
    await mkdir(folder, { recursive: true });
    await build({
      entryPoints: [fileURLToPath(new URL("../support/peak-memory-child.ts", import.meta.url))],
      outfile: child,
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
    });
    for (const name of ["onnx-worker.mjs", "onnx-requests.mjs", "bound-sessions.mjs"])
      await copyFile(new URL(`../../src/runtime/${name}`, import.meta.url), `${folder}${name}`);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const cache = `${folder}cache`;
  async function measure(part: string, form: string, [width, height]: readonly number[], limit: number | "none") {
    const args = [child, part, form, String(width), String(height), String(limit)];
    const env = { ...process.env, PROGRAM_CACHE: cache };
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    return JSON.parse(stdout) as { peak: number; predicted: number; tiles: number };
  }
  const cases = ["mapped", "packed", "optimized", "kept"].flatMap((form) => [
    ["encode", form],
    ["decode", form],
  ]) as [string, string][];

  test.each(cases)("%s, %s: a limit below what the whole picture is predicted to take is kept", async (part, form) => {
    const size = [3072, 2048];
    const whole = await measure(part, form, size, "none");
    expect(whole.tiles).toBe(0);
    // From the prediction, which is the same on every machine: what a run really took is the allocator's affair.
    const limit = Math.round(whole.predicted * 0.85);
    const tiled = await measure(part, form, size, limit);
    expect(tiled.tiles).toBeGreaterThan(1);
    expect(tiled.peak).toBeLessThanOrEqual(limit);
  });
});
