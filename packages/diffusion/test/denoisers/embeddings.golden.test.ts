import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { runGraph } from "@dcae/test-support/run-graph";
import { describe, expect, it } from "vitest";
import { positionEmbedding, timeEmbedding, timeFrequencies, unpatchify } from "../../src/denoisers/layers.js";
import { loadGolden } from "../support/golden.js";

const engine = useEngine();

describe("embeddings", () => {
  /**
   * The reference's exponential is off by up to 0.52 units in the last place of float32, so a few of its frequencies are
   * rounded the other way. One such unit moves the angle by t * ulp(frequency); nothing else may add to the tolerance.
   */
  it("of time equal the reference up to the last bit of a few frequencies, odd widths too", async () => {
    const golden = await loadGolden("embeddings");
    const dims = golden.config.dims as number[];
    const outputs = await runGraph(engine, { t: golden.tensor("in.t") }, (_, { t }) =>
      Object.fromEntries(dims.map((dim) => [`d${dim}`, timeEmbedding(t, dim)])),
    );
    const times = golden.tensor("in.t").toFloat32();
    const { atol, rtol } = golden.tolerance;
    for (const dim of dims) {
      const expected = golden.tensor(`out.temb.${dim}`);
      const actual = outputs[`d${dim}`]!;
      expect(actual.shape).toEqual(expected.shape);
      const frequencies = timeFrequencies(Math.floor(dim / 2));
      const [a, b] = [actual.toFloat32(), expected.toFloat32()];
      let moved = 0;
      for (let i = 0; i < b.length; i++) {
        const frequency = frequencies[(i % dim) % frequencies.length]!;
        const ulp = 2 ** (Math.floor(Math.log2(frequency)) - 23);
        const [error, tolerance] = [Math.abs(a[i]! - b[i]!), atol + rtol * Math.abs(b[i]!)];
        expect(error).toBeLessThanOrEqual(tolerance + times[Math.floor(i / dim)]! * ulp);
        if (error > tolerance) moved++;
      }
      expect(moved / b.length).toBeLessThan(0.005);
    }
  });

  it("of positions equal the reference", async () => {
    const golden = await loadGolden("embeddings");
    const cases = golden.config.pos as [number, number][];
    expect(cases.length).toBeGreaterThan(0);
    for (const [width, side] of cases) {
      expectGolden(golden, `out.pos.${width}.${side}`, positionEmbedding(width, side));
    }
  });
});

describe("unpatchify", () => {
  it("puts the channel fastest inside of a patch, exactly", async () => {
    const golden = await loadGolden("unpatchify");
    const cases = golden.config.unpatchify as [channels: number, patch: number][];
    for (const [channels, patch] of cases) {
      const tokens = golden.tensor(`in.tok.${channels}.${patch}`);
      const { y } = await runGraph(engine, { tokens }, (_, values) => ({ y: unpatchify(values.tokens, patch) }));
      for (const model of ["uvit", "dit"]) {
        const expected = golden.tensor(`out.unpatchify_${model}.${channels}.${patch}`);
        expect(y!.shape).toEqual(expected.shape);
        expect(y!.data).toEqual(expected.data);
      }
    }
  });
});
