import { describe, expect, test } from "vitest";
import { initialWeights } from "../../src/checkpoint/weights.js";
import { ConfigError } from "../../src/errors.js";
import type { Initializer, ParameterSpec } from "../../src/graph/value.js";
import { resolveDcAeConfig } from "../../src/models/dc-ae/dc-ae-config.js";
import { initializeParameter } from "../../src/models/initialize.js";
import { modelParameters } from "../../src/models/model-programs.js";
import { resolveSdVaeConfig } from "../../src/models/sd-vae/sd-vae-config.js";

function spec(init: Initializer, rest: Partial<ParameterSpec> = {}): ParameterSpec {
  return { name: "a.weight", shape: [64, 64, 3, 3], dtype: "float32", trainable: true, init, ...rest };
}

describe("initializeParameter", () => {
  test("depends on seed and name alone", () => {
    const uniform = spec({ kind: "uniform", bound: 0.1 });
    const first = initializeParameter(uniform, 7).data;
    expect(initializeParameter(uniform, 7).data).toEqual(first);
    expect(initializeParameter(uniform, 8).data).not.toEqual(first);
    expect(initializeParameter({ ...uniform, name: "b.weight" }, 7).data).not.toEqual(first);
    // A larger parameter of the same name begins with the same values.
    expect(initializeParameter({ ...uniform, shape: [128, 64, 3, 3] }, 7).data.subarray(0, first.length)).toEqual(
      first,
    );
  });

  test("uniform values fill their interval evenly", () => {
    const { data } = initializeParameter(spec({ kind: "uniform", bound: 0.1 }), 1);
    const values = Array.from(data as Float32Array);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    // Standard errors: 0.0577 / sqrt(36864) = 3.0e-4 of the mean, 1.55e-5 of the variance.
    expect(Math.abs(mean)).toBeLessThan(4 * 3.0e-4);
    expect(Math.abs(variance - 0.1 ** 2 / 3)).toBeLessThan(4 * 1.55e-5);
    expect(values.every((value) => value >= -0.1000001 && value <= 0.1000001)).toBe(true);
    expect(Math.max(...values)).toBeGreaterThan(0.0999);
    expect(Math.min(...values)).toBeLessThan(-0.0999);
  });

  test("normal values have their deviation", () => {
    const values = Array.from(initializeParameter(spec({ kind: "normal", std: 0.02 }), 1).data as Float32Array);
    const variance = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
    expect(Math.abs(variance / 0.02 ** 2 - 1)).toBeLessThan(4 * Math.sqrt(2 / values.length));
  });

  test("constants of every type", () => {
    const one = { kind: "constant", value: 1 } as const;
    expect(initializeParameter(spec(one, { shape: [3] }), 0).data).toEqual(new Float32Array([1, 1, 1]));
    expect(initializeParameter(spec(one, { shape: [], dtype: "int64" }), 0).at()).toBe(1n);
    expect(initializeParameter(spec(one, { shape: [2], dtype: "float16" }), 0).toFloat32()).toEqual(
      new Float32Array([1, 1]),
    );
  });

  test("random integers and half floats are refused", () => {
    const wrong = spec({ kind: "uniform", bound: 1 }, { dtype: "float16" });
    expect(() => initializeParameter(wrong, 0)).toThrow(ConfigError);
    expect(() => initializeParameter(wrong, 0)).toThrow(/a\.weight is float16/);
  });
});

describe("a fresh model", () => {
  const config = resolveDcAeConfig({
    headDim: 8,
    latentChannels: 4,
    encoder: { widthList: [8, 16], depthList: [0, 1], blockType: "EViTS5GLU" },
    decoder: { widthList: [8, 16], depthList: [1, 1], blockType: ["ResBlock", "EViTGLU"], norm: ["bn2d", "trms2d"] },
  });
  const specs = modelParameters({ kind: "dc-ae", config });

  test("has PyTorch's default distributions", () => {
    const shapes = new Map(specs.map(({ name, shape }) => [name, shape]));
    for (const { name, init } of specs) {
      const kind = name.split(".").at(-1);
      if (
        /\bnorm\.|project_out\.op_list\.0\.(weight|bias)$|running|tracked/.test(name) &&
        !/op_list\.0\.conv/.test(name)
      ) {
        const value = kind === "weight" || kind === "running_var" ? 1 : 0;
        expect([name, init]).toEqual([name, { kind: "constant", value }]);
        continue;
      }
      // The bias of a convolution has the interval of its weight: 1 / sqrt(inputs per output).
      const [, ...inputs] = shapes.get(name.replace(/bias$/, "weight")) ?? [];
      const fanIn = inputs.reduce((size, dim) => size * dim, 1);
      expect(init.kind, name).toBe("uniform");
      expect((init as { bound: number }).bound, name).toBeCloseTo(1 / Math.sqrt(fanIn), 12);
    }
  });

  test("gives the same weights in any order of reading", async () => {
    const weights = initialWeights(specs, 3);
    expect([...weights.entries.keys()]).toEqual(specs.map(({ name }) => name));
    const backwards = [...weights.entries.values()].reverse();
    for (const entry of backwards) {
      const tensor = await entry.read();
      const one = specs.find(({ name }) => name === entry.name) as ParameterSpec;
      expect([tensor.shape, tensor.dtype]).toEqual([one.shape, one.dtype]);
      expect(tensor.data).toEqual(initializeParameter(one, 3).data);
    }
  });

  test("SD-VAE: norms are constant, all else is uniform", () => {
    const small = resolveSdVaeConfig({ blockOutChannels: [8, 16], normNumGroups: 4, layersPerBlock: 1 });
    for (const { name, init } of modelParameters({ kind: "sd-vae", config: small })) {
      expect([name, init.kind]).toEqual([name, /norm/.test(name) ? "constant" : "uniform"]);
    }
  });
});
