/**
 * Memory of a process that loads a checkpoint: weights are used where they lie, programs for several sizes share them, and 8 bits
 * take less. A copy of the weights would break each limit here; what a run takes besides does not come near.
 */
import { execFile } from "node:child_process";
import { copyFile, mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { WeightEntry } from "../../src/checkpoint/weights.js";
import { Tensor } from "../../src/graph/index.js";
import { type LoadOptions, saveCheckpoint } from "../../src/internal/index.js";
import type { DcAeConfig } from "../../src/models/dc-ae/dc-ae-config.js";
import type { DcAePreset } from "../../src/models/dc-ae/dc-ae-presets.js";
import { describePreset, getPreset, modelParameters } from "../../src/models/index.js";

/** f32c32 with half its widths: 80 million weights, so that Node and what the C library keeps don't decide the ratio. */
const WIDTH_DIVISOR = 2;

interface Memory {
  /** Peak before anything was computed: Node, the runtime, and with int8 the observation of ranges. */
  readonly before: number;
  readonly peak: number;
  /** Mapped pages of files after each size. */
  readonly mapped: readonly number[];
}

describe.runIf(process.platform === "linux")("memory of loading", () => {
  const temporary = temporaryFolder();
  const checkpoint = join(temporary, "half-widths");
  // Inside the package, so that the bundle finds the runtime beside it.
  const bundle = fileURLToPath(new URL("../../node_modules/.load-memory/", import.meta.url));
  let bytes: number;

  beforeAll(async () => {
    await mkdir(bundle, { recursive: true });
    await build({
      entryPoints: [fileURLToPath(new URL("../support/load-memory-child.ts", import.meta.url))],
      outfile: join(bundle, "child.mjs"),
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
    });
    for (const name of ["onnx-worker.mjs", "onnx-requests.mjs", "bound-sessions.mjs"])
      await copyFile(new URL(`../../src/runtime/${name}`, import.meta.url), join(bundle, name));
    await saveCheckpoint(model(), weights(), checkpoint);
    bytes = (await stat(join(checkpoint, "model.safetensors"))).size;
  });
  afterAll(() => rm(bundle, { recursive: true, force: true }));

  function model() {
    const preset = getPreset("dc-ae-f32c32-in-1.0") as DcAePreset;
    const narrow = <Part extends DcAeConfig["encoder"] | DcAeConfig["decoder"]>(part: Part): Part => ({
      ...part,
      widthList: part.widthList.map((width) => width / WIDTH_DIVISOR),
    });
    const { preset: _, ...description } = describePreset(preset) as ReturnType<typeof describePreset> & {
      preset?: unknown;
    };
    const { config } = preset;
    return {
      ...description,
      config: { ...config, encoder: narrow(config.encoder), decoder: narrow(config.decoder) },
    } as ReturnType<typeof describePreset>;
  }

  /** Small numbers of both signs: what they are doesn't matter, that they are written does. */
  function weights() {
    const entries = modelParameters(model()).map(({ name, shape, dtype }): [string, WeightEntry] => {
      const read = async () => {
        // Variances, whose roots are taken.
        if (name.endsWith("running_var")) return Tensor.full(shape, 1);
        const size = shape.reduce((a, b) => a * b, 1);
        return Tensor.float32(
          Float32Array.from({ length: size }, (_, i) => ((i % 7) - 3) / 500),
          shape,
        ).cast(dtype);
      };
      return [name, { name, shape, dtype, read }];
    });
    return { source: "half widths", entries: new Map(entries), close: async () => {} };
  }

  async function load(path: string, options: LoadOptions, ...heights: readonly number[]): Promise<Memory> {
    const argv = [join(bundle, "child.mjs"), path, JSON.stringify(options), ...heights.map(String)];
    // Blocks below 32 MB that were freed stay with glibc, more or fewer of them from run to run; from 64 kB on they go back at once.
    const env = { ...process.env, MALLOC_MMAP_THRESHOLD_: "65536" };
    const { stdout } = await promisify(execFile)(process.execPath, argv, { env });
    return JSON.parse(stdout) as Memory;
  }

  test("weights are used where they lie: encoder and decoder take less than the checkpoint and a copy of it", async () => {
    const { peak, before, mapped } = await load(checkpoint, {}, 64);
    // It is the checkpoint that is mapped, and not a copy that is made.
    expect(mapped[0]).toBeGreaterThan(0.5 * bytes);
    expect(peak - before).toBeLessThan(2 * bytes);
  });

  test("so they do in the layout of diffusers, whose attention is in pieces", async () => {
    const diffusers = join(temporary, "diffusers");
    await saveCheckpoint(model(), weights(), diffusers, { format: "diffusers" });
    const { peak, before } = await load(diffusers, {}, 64);
    expect(peak - before).toBeLessThan(2 * bytes);
  });

  test("stored in half precision, they are in memory once, as float32", async () => {
    const half = join(temporary, "half-precision");
    await saveCheckpoint(model(), weights(), half, { dtype: "float16" });
    const { peak, before } = await load(half, {}, 64);
    expect(peak - before).toBeLessThan(2 * bytes);
  });

  test("programs for two sizes share the pages of the file", async () => {
    const { mapped } = await load(checkpoint, {}, 64, 96);
    const [one, two] = mapped as [number, number];
    expect(one).toBeGreaterThan(0.5 * bytes);
    expect(two - one).toBeLessThan(0.5 * bytes);
  });

  // A quarter are weights; what every run takes counts for more in a model of this size.
  test("with 8 bits, from the folder that keeps them, less than the checkpoint in float32", async () => {
    const calibrated = { dtype: "int8", programCache: join(temporary, "cache") } as const;
    await load(checkpoint, calibrated, 64);
    const { peak, before } = await load(checkpoint, calibrated, 64);
    expect(peak - before).toBeLessThan(bytes);
  });
});
