/** Denoisers in float16: every one loads and computes nearly what it computes in float32. */
import { createRandom, Tensor } from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { relativeError } from "@dcae/test-support/compare";
import { expect, it } from "vitest";
import { loadDenoiser } from "../../src/pipeline/sample-latents.js";
import { tinyDescription, tinyWeights } from "../support/tiny-models.js";

/** float16 has 11 bits; errors of a few layers add up. */
const HALF_TOLERANCE = 5e-3;

it.each([
  ["uvit", {}],
  ["uvit", { mlp_time_embed: true, qkv_bias: true, patch_size: 2, act_layer: "silu" }],
  ["dit", {}],
  ["dit", { post_norm: true }],
  ["sana_cls", {}],
  ["sana_cls", { use_linear_attn: true, ffn_mode: "MBConv" }],
])("%s %j", async (arch, changes) => {
  const description = tinyDescription(arch, changes);
  const x = Tensor.float32(createRandom(1).normal(new Float32Array(2 * 8 * 16)), [2, 8, 4, 4]);
  const [t, labels] = [Tensor.float32([3, 900]), new Tensor("int32", Int32Array.of(1, 3), [2])];
  const predicted: Tensor[] = [];
  for (const dtype of ["float32", "float16"] as const) {
    const engine = await createEngine({ device: "cpu", threads: 1, dtype });
    const denoiser = loadDenoiser(engine, tinyWeights(description), description.config);
    predicted.push(await denoiser.forward(x, t, labels));
    await denoiser.dispose();
    await engine.dispose();
  }
  const [exact, half] = predicted as [Tensor, Tensor];
  expect(half.dtype).toBe("float32");
  const error = relativeError(half, exact);
  expect(error).toBeLessThan(HALF_TOLERANCE);
  expect(error).toBeGreaterThan(0);
});
