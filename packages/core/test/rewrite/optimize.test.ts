/** What the optimizer does to the published models, and what it leaves alone. */
import { describe, expect, test } from "vitest";
import {
  createProgram,
  createScope,
  input,
  mul,
  optimize,
  type Program,
  parameter,
  symbol,
  topologicalOrder,
  ZEROS,
} from "../../src/graph/index.js";
import { buildDecodeProgram, buildEncodeProgram } from "../../src/internal/index.js";
import type { DcAePreset } from "../../src/models/dc-ae/dc-ae-presets.js";
import { getPreset, sdVaeDecode } from "../../src/models/index.js";
import type { SdVaePreset } from "../../src/models/sd-vae/sd-vae-family.js";

const preset = (name: string) => getPreset(name) as DcAePreset;
const outputs = (program: Program) => [...program.outputs.values()];
const count = (program: Program, op: string) =>
  topologicalOrder(outputs(program)).filter((value) => value.op === op).length;
const directs = (program: Program) =>
  topologicalOrder(outputs(program)).filter(
    (value) => value.op === "conv2d" && value.inputs[1].shape[2] === 3 && value.attributes.groups === 1,
  ).length;

test("the blocks of a published model take Winograd's form", () => {
  const plain = buildEncodeProgram({ kind: "dc-ae", config: preset("dc-ae-f32c32-in-1.0").config }, [1, 3, 256, 256]);
  const fast = optimize(plain);
  // 4 + 8 residual blocks of two convolutions, and down-samplings; the deepest stages are too small.
  expect(directs(plain) - directs(fast)).toBeGreaterThanOrEqual(24);
  expect([...fast.parameters.keys()].sort()).toEqual([...plain.parameters.keys()].sort());
  expect(count(fast, "pixelUnshuffle")).toBe(0);
});

describe("layout of pictures between convolutions", () => {
  const changes = (program: Program) =>
    topologicalOrder(outputs(program)).filter(
      (value) => value.op === "transpose" && ["0,2,3,1", "0,3,1,2"].includes(value.attributes.permutation.join()),
    ).length;

  test.each(["dc-ae-f32c32-in-1.0", "dc-ae-f32c32-sana-1.0"])(
    "%s is transposed where its stages begin and end",
    (name) => {
      const { config } = preset(name);
      const plain = buildDecodeProgram({ kind: "dc-ae", config }, [1, config.latentChannels, 8, 8]);
      const fast = optimize(plain);
      expect(changes(fast)).toBeGreaterThan(0);
      expect(changes(fast)).toBeLessThanOrEqual((directs(plain) - directs(fast)) / 2);
    },
  );

  test("group norms keep channels first", () => {
    const { config } = getPreset("sd-vae-ft-ema") as SdVaePreset;
    const plain = createProgram("decode", { picture: sdVaeDecode(createScope(), input("z", [1, 4, 32, 32]), config) });
    const fast = optimize(plain);
    expect(directs(plain) - directs(fast)).toBeGreaterThan(20);
    expect(count(fast, "filterBank")).toBe(0);
  });
});

test("a decoder with interpolation never makes the large picture", () => {
  const { config } = preset("dc-ae-f32c32-sana-1.0");
  const plain = buildDecodeProgram({ kind: "dc-ae", config }, [1, config.latentChannels, 8, 8]);
  expect(count(plain, "upsampleNearest2d")).toBeGreaterThan(0);
  expect(count(optimize(plain), "upsampleNearest2d")).toBe(0);
});

test("programs with symbolic sizes keep their form", () => {
  const shape = [symbol("n"), 3, symbol("h", 32), symbol("w", 32)];
  const plain = buildEncodeProgram({ kind: "dc-ae", config: preset("dc-ae-f32c32-in-1.0").config }, shape);
  expect(directs(optimize(plain))).toBe(directs(plain));
});

test("programs that update state are left alone", () => {
  const w = parameter({ name: "w", shape: [2], dtype: "float32", init: ZEROS, trainable: true });
  const program = createProgram("step", { y: mul(input("x", [2]), w) }, { w: mul(w, 2) });
  expect(optimize(program)).toBe(program);
});
