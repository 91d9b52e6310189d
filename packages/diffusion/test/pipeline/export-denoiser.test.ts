/** A denoiser as an ONNX file: the same numbers as the model's, at any batch. */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { EngineError } from "@dcae/core";
import { Tensor } from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { expectClose } from "@dcae/test-support/compare";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { parseDenoiserConfig } from "../../src/pipeline/denoiser-checkpoint.js";
import { exportDenoiser } from "../../src/pipeline/export-denoiser.node.js";
import { loadDenoiser } from "../../src/pipeline/sample-latents.js";
import { tinyDescription, tinyWeights } from "../support/tiny-models.js";

interface OrtTensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}
interface Ort {
  readonly InferenceSession: {
    create(
      bytes: Uint8Array,
      options: object,
    ): Promise<{
      readonly inputNames: readonly string[];
      run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Record<string, OrtTensor>>;
      release(): Promise<void>;
    }>;
  };
  readonly Tensor: new (type: string, data: Float32Array | Int32Array, dims: readonly number[]) => OrtTensor;
}
/** The runtime is a dependency of core. */
const ort = createRequire(createRequire(import.meta.url).resolve("@dcae/core/package.json"))("onnxruntime-node") as Ort;

const folder = temporaryFolder();

test.each([
  ["uvit", tinyDescription("uvit")],
  ["dit with learned variance", tinyDescription("dit")],
  ["sana_cls", tinyDescription("sana_cls")],
  ["uvit without classes", tinyDescription("uvit", { num_classes: 0 })],
] as const)("%s", async (name, description) => {
  const out = join(folder, name.replaceAll(" ", "-"));
  const weights = tinyWeights(description);
  const { files, difference } = await exportDenoiser({ description, weights }, out, { threads: 1 });
  expect(files).toEqual(["denoiser.onnx"]);
  expect(difference).toBeLessThan(1e-4);
  expect(readdirSync(out).sort()).toEqual(["denoiser.onnx", "export.json"]);
  const { config: written } = JSON.parse(readFileSync(join(out, "export.json"), "utf8"));
  expect(parseDenoiserConfig(written, "export.json")).toEqual(description);

  // As a stranger runs it, at a batch that verification doesn't try.
  const session = await ort.InferenceSession.create(readFileSync(join(out, "denoiser.onnx")), {
    executionProviders: ["cpu"],
    intraOpNumThreads: 1,
  });
  const batch = 2;
  const x = Tensor.float32(
    Float32Array.from({ length: batch * 8 * 16 }, (_, i) => Math.sin(i)),
    [batch, 8, 4, 4],
  );
  const t = Tensor.float32(Float32Array.of(0.3, 0.7));
  const hasClasses = description.config.numClasses > 0;
  const labels = hasClasses ? new Tensor("int32", Int32Array.of(2, 0), [batch]) : undefined;
  expect([...session.inputNames].sort()).toEqual(hasClasses ? ["labels", "t", "x"] : ["t", "x"]);
  const { y } = await session.run({
    x: new ort.Tensor("float32", x.toFloat32(), x.shape),
    t: new ort.Tensor("float32", t.toFloat32(), t.shape),
    ...(labels === undefined ? {} : { labels: new ort.Tensor("int32", labels.data as Int32Array, labels.shape) }),
  });
  await session.release();
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const model = loadDenoiser(engine, weights, description.config);
  const expected = await model.forward(x, t, labels);
  await model.dispose();
  await engine.dispose();
  expectClose(Tensor.float32(y?.data as Float32Array, y?.dims ?? []), expected, 1e-4);
});

test("half precision is written, and nothing is left of an export that fails", async () => {
  const description = tinyDescription("uvit");
  const weights = tinyWeights(description);
  const half = join(folder, "half");
  const { difference } = await exportDenoiser({ description, weights }, half, { dtype: "float16", threads: 1 });
  expect(difference).toBeLessThan(5e-2);
  // More than float32 rounds.
  expect(difference).toBeGreaterThan(1e-5);
  expect(JSON.parse(readFileSync(join(half, "export.json"), "utf8")).dtype).toBe("float16");

  const [[first, entry]] = [...weights.entries] as [
    [string, typeof weights.entries extends ReadonlyMap<string, infer E> ? E : never],
  ];
  const endless = { ...entry, read: async () => (await entry.read()).map(() => Number.POSITIVE_INFINITY) };
  const spoiled = { ...weights, entries: new Map(weights.entries).set(first, endless) };
  await expect(exportDenoiser({ description, weights: spoiled }, join(folder, "no"), { threads: 1 })).rejects.toThrow(
    EngineError,
  );
  expect(readdirSync(folder)).not.toContain("no");
});
