/** Exact convolutions of 8 bits are asked for where the probe shows that they are needed, and nowhere else. */
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect, test } from "vitest";
import * as g from "../../src/graph/index.js";
import { OnnxEngine } from "../../src/runtime/index.js";
import type { SessionHost, SessionOptions } from "../../src/runtime/session-host.js";

/** A host whose sums of 16 products of 255 and 127 are `sum`. */
function hostWith(sum: number): { readonly host: SessionHost; readonly asked: SessionOptions[] } {
  const asked: SessionOptions[] = [];
  const host: SessionHost = {
    name: "fake",
    readsFiles: false,
    async createSession(_model, options) {
      asked.push(options);
      const y = new g.Tensor("uint8", new Uint8Array(16).fill(Math.round(sum / 4096)), [1, 16, 1, 1]);
      return { run: async () => new Map([["y", y]]), release: async () => {} };
    },
    close: async () => {},
  };
  return { host, asked };
}

function quantized(): g.Program {
  const weight = new g.Tensor("int8", new Int8Array(4).fill(1), [2, 2, 1, 1]);
  const y = g.qlinearConv2d(
    g.input("x", [1, 2, 1, 1], "uint8"),
    g.constant(weight),
    g.constant(g.Tensor.float32([1, 1])),
    { input: { scale: 1, zeroPoint: 0 }, output: { scale: 1, zeroPoint: 0 } },
  );
  return g.createProgram("conv", { y });
}

test.each([
  // The right sum, and that of pairs clamped at 2^15 - 1.
  [16 * 255 * 127, false],
  [8 * 32767, true],
])("sums of %d", async (sum, expected) => {
  const { host, asked } = hostWith(sum);
  const engine = new OnnxEngine(host, { device: "cpu" });
  await engine.load(quantized(), NO_WEIGHTS);
  await engine.load(quantized(), NO_WEIGHTS);
  // One probe, and two programs.
  expect(asked.map(({ exactInt8 = false }) => exactInt8)).toEqual([false, expected, expected]);
});

test("programs in float32 need no probe", async () => {
  const { host, asked } = hostWith(0);
  const engine = new OnnxEngine(host, { device: "cpu" });
  await engine.load(g.createProgram("add", { y: g.add(g.input("x", [1]), 1) }), NO_WEIGHTS);
  expect(asked.map(({ exactInt8 }) => exactInt8)).toEqual([false]);
});
