import { describe, expect, it } from "vitest";
import type { Metric } from "../../src/protocols/metrics.js";
import { resolveProtocol } from "../../src/protocols/protocol.js";
import { formatComparison } from "../../src/report/format-result.js";
import { compareResults } from "../../src/results/compare-results.js";
import { type EvaluationResult, type MetricValue, thisMachine } from "../../src/results/evaluation-result.node.js";

const names = ["a.png", "b.png", "c.png", "d.png"];

function result(
  values: Partial<Record<Metric, readonly number[]>>,
  changes: Partial<EvaluationResult> = {},
): EvaluationResult {
  const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const metrics = Object.fromEntries(
    Object.entries(values).map(([metric, list]) => [metric, { value: mean(list), count: list.length } as MetricValue]),
  );
  return {
    formatVersion: 1,
    kind: "reconstruction",
    date: "2025-01-02T03:04:05.000Z",
    subject: "model",
    subjectFingerprint: "weights",
    pictures: { source: "photos", fingerprint: "pictures", count: 4, sizes: { "32x32": 4 }, unusable: [] },
    protocol: resolveProtocol({ size: 32 }),
    metrics,
    missing: [],
    warnings: [],
    networks: [],
    perPicture: { names, indices: [0, 1, 2, 3], values },
    engine: "cpu",
    machine: thisMachine(),
    seconds: 1,
    ...changes,
  };
}

describe("compareResults", () => {
  it("gives differences to the first result, picture by picture where the pictures are the same", () => {
    const [psnr] = compareResults([result({ psnr: [20, 30, 25, 25] }), result({ psnr: [21, 32, 25, 26] })]);
    expect(psnr).toEqual({
      metric: "psnr",
      baseline: 0,
      values: [
        { result: 0, value: 25 },
        {
          result: 1,
          value: 26,
          difference: 1,
          // Differences 1, 2, 0, 1: standard deviation sqrt(2 / 3), over sqrt(4).
          paired: { count: 4, mean: 1, standardError: Math.sqrt(2 / 3 / 4), better: 0.75 },
        },
      ],
    });
  });

  it("knows in which direction a metric is better", () => {
    const compared = compareResults([result({ lpips: [0.2, 0.2] }), result({ lpips: [0.1, 0.3] })]);
    expect(compared[0]?.values[1]?.paired?.better).toBe(0.5);
    const text = formatComparison(compareResults([result({ lpips: [0.2] }), result({ lpips: [0.1] })]), ["one", "two"]);
    expect(text).toMatch(/^LPIPS {2}one {2}0\.2000 {2}baseline$/m);
    expect(text).toMatch(/^ {7}two {2}0\.1000 {2}-0\.1000 better$/m);
  });

  it("says when a difference may be chance, and calls what the digits don't show equal", () => {
    const text = (psnr: number[]) =>
      formatComparison(compareResults([result({ psnr: [20, 30, 25, 25] }), result({ psnr })]), ["a", "b"]);
    expect(text([21, 29, 26, 25])).toMatch(
      /\+0\.2500 better {2}within 2 standard errors of 0\.4787, better on 50 % of 4/,
    );
    expect(text([21, 31, 26, 26.1])).toMatch(/\+1\.0250 better {2}standard error 0\.0250, better on 100 % of 4/);
    expect(text([20.00001, 30, 25, 25])).toMatch(/\+0\.0000 equal/);
  });

  it("refuses what means nothing, metric by metric, and says why", () => {
    const other = result(
      { psnr: [21, 22, 23, 24], ssim: [0.5, 0.5, 0.5, 0.6] },
      { protocol: resolveProtocol({ size: 32, ssimBorder: "cropped" }) },
    );
    const compared = compareResults([result({ psnr: [20, 20, 20, 20], ssim: [0.5, 0.5, 0.5, 0.5] }), other]);
    expect(compared.map(({ metric, values }) => [metric, values[1]?.refused])).toEqual([
      ["psnr", undefined],
      ["ssim", ['ssimBorder is "whole" and "cropped"']],
    ]);
    expect(compared[1]?.values[1]?.difference).toBeUndefined();
    const text = formatComparison(compared, ["first.json", "second.json"]);
    expect(text).toMatch(/second\.json {2}0\.5250 +not comparable$/m);
    expect(text).toContain('SSIM of first.json and second.json: ssimBorder is "whole" and "cropped"');
  });

  it("refuses other pictures, another reference, and other network weights", () => {
    const base = result({ psnr: [20] });
    const pictures = { ...base.pictures, fingerprint: "others" };
    const reasons = (a: EvaluationResult, b: EvaluationResult) => compareResults([a, b])[0]?.values[1]?.refused;
    expect(reasons(base, result({ psnr: [20] }, { pictures }))).toEqual(["the pictures differ"]);
    const generated = (reference: string, sha256: string) =>
      result(
        { fid: [10] },
        {
          kind: "generation",
          reference: { name: "photos", fingerprint: reference, unusable: 0 },
          networks: [{ network: "inception", files: [{ path: "i.pth", sha256, published: true }] }],
        },
      );
    // Samples always differ; that is what is measured.
    expect(reasons(generated("x", "s"), { ...generated("x", "s"), pictures })).toBeUndefined();
    expect(reasons(generated("x", "s"), generated("y", "s"))).toEqual(["the references differ"]);
    expect(reasons(generated("x", "s"), generated("x", "t"))).toEqual(["the weights of the metric's network differ"]);
  });

  it("takes identical pictures, whose PSNR is infinite", () => {
    const infinite = result({ psnr: [Number.POSITIVE_INFINITY, 20] });
    expect(compareResults([infinite, infinite])[0]?.values[1]).toMatchObject({ difference: 0 });
    const finite = compareResults([result({ psnr: [20, 20] }), infinite])[0]?.values[1];
    expect(finite).toMatchObject({ difference: Number.POSITIVE_INFINITY });
    expect(finite?.paired).toBeUndefined();
    expect(formatComparison(compareResults([result({ psnr: [20, 20] }), infinite]), ["a", "b"])).toMatch(/ better$/m);
  });

  it("compares any number of results, each with the first that has the metric", () => {
    const list = [result({ psnr: [20] }), result({ psnr: [21], ssim: [0.5] }), result({ ssim: [0.6] })];
    expect(compareResults(list).map(({ metric, baseline, values }) => [metric, baseline, values.length])).toEqual([
      ["psnr", 0, 2],
      ["ssim", 1, 2],
    ]);
  });

  it("says when there is nothing to compare", () => {
    expect(() => compareResults([result({ psnr: [20] })])).toThrow(/needs at least two results, got 1/);
    expect(() => compareResults([result({ psnr: [20] }), result({ ssim: [1] })])).toThrow(/no metric in common/);
  });
});
