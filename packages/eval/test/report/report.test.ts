import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, it } from "vitest";
import { resolveProtocol } from "../../src/protocols/protocol.js";
import { formatResult, formatSeconds } from "../../src/report/format-result.js";
import { histogram, html, writeReport } from "../../src/report/render-report.js";
import { type EvaluationResult, thisMachine } from "../../src/results/evaluation-result.node.js";
import { chooseExamples } from "../../src/runners/pick-examples.js";

const folder = temporaryFolder();
const result: EvaluationResult = {
  formatVersion: 1,
  kind: "reconstruction",
  date: "2025-01-02T03:04:05.000Z",
  subject: "model <b>",
  subjectFingerprint: "def",
  pictures: {
    source: "photos",
    fingerprint: "abc",
    count: 3,
    sizes: { "32x32": 3 },
    unusable: [{ name: '<img src=x onerror="alert(1)">.png', problem: "damaged" }],
  },
  protocol: resolveProtocol({ size: 32 }),
  metrics: {
    psnr: { value: Number.POSITIVE_INFINITY, count: 3, note: "1 of 3 pictures came back identical" },
    ssim: { value: 0.71052, std: 0.1, count: 3 },
  },
  missing: [{ metric: "lpips", reason: "no weights", hint: "Get them." }],
  warnings: ["few & small pictures"],
  networks: [{ network: "inception", files: [{ path: "/w/i.pth", sha256: "abc", published: true }] }],
  latent: { mean: -0.0523, rms: 2, std: 2, count: 10 },
  perPicture: {
    names: ["a.png", "b.png", "c.png"],
    indices: [0, 1, 3],
    values: { psnr: [20, Number.POSITIVE_INFINITY, 30], ssim: [0.5, 1, 0.6] },
  },
  engine: "onnxruntime-node cpu",
  machine: thisMachine(),
  seconds: 75,
};

describe("writeReport", () => {
  it("writes one file without outside parts, with everything escaped", async () => {
    const path = join(folder, "report.html");
    const example = {
      name: "a.png",
      rankedBy: "ssim" as const,
      original: formulaImage(32, 32, 0),
      reconstruction: formulaImage(32, 32, 1),
    };
    await writeReport(path, result, {
      examples: [
        { ...example, rank: "worst", values: { ssim: 0.5 } },
        { ...example, rank: "best", values: { psnr: Number.POSITIVE_INFINITY } },
      ],
      samples: [formulaImage(16, 16, 2)],
    });
    const text = readFileSync(path, "utf8");
    expect(text).toContain("model &lt;b&gt;");
    expect(text).not.toContain("<img src=x");
    expect(text).toContain("few &amp; small pictures");
    expect(text).toContain("0.7105");
    expect(text).toContain("infinite dB");
    expect(text).toContain("not computed: no weights. Get them.");
    expect(text).toContain("scaling factor 0.5000");
    expect(text).toContain("Worst reconstructions by SSIM");
    expect(text.match(/data:image\/webp;base64,/g)).toHaveLength(7);
    expect(text).not.toMatch(/(?:src|href)="(?!data:)/);
    // Every opened element is closed.
    for (const tag of ["table", "tbody", "div", "figure", "svg", "h2"]) {
      expect(text.match(new RegExp(`<${tag}[ >]`, "g"))?.length, tag).toBe(
        text.match(new RegExp(`</${tag}>`, "g"))?.length,
      );
    }
  });
});

describe("formatResult", () => {
  it("shows numbers, what is missing, warnings and the protocol", () => {
    const text = formatResult(result);
    expect(text).toMatch(/^SSIM {3}0\.7105 {7}std 0\.1000 {2}higher is better$/m);
    expect(text).toMatch(/^PSNR {3}infinite dB .*came back identical$/m);
    expect(text).toMatch(/^LPIPS {2}not computed: no weights\n {7}Get them\.$/m);
    expect(text).toMatch(/^warning: few & small pictures$/m);
    expect(text).toMatch(/^size +32x32$/m);
    expect(text).toMatch(/1 min 15 s on onnxruntime-node cpu$/);
  });
});

describe("chooseExamples", () => {
  it("takes the worst and best by the best metric there is, each picture once", () => {
    const { perPicture } = result;
    if (perPicture === undefined) throw new Error("the result has no pictures");
    expect(chooseExamples(perPicture, 1)).toEqual({ metric: "ssim", worst: [0], best: [1] });
    expect(chooseExamples(perPicture, 5)).toEqual({ metric: "ssim", worst: [0, 2], best: [1] });
    const psnr = { ...perPicture, values: { psnr: perPicture.values.psnr ?? [] } };
    expect(chooseExamples(psnr, 2)).toEqual({ metric: "psnr", worst: [0, 2], best: [1] });
    const lpips = { ...perPicture, values: { lpips: [0.3, 0.1, 0.2] } };
    expect(chooseExamples(lpips, 1)).toEqual({ metric: "lpips", worst: [0], best: [1] });
    expect(chooseExamples({ ...perPicture, values: {} }, 1)).toBeUndefined();
  });
});

describe("parts of reports", () => {
  it("escapes text but not markup", () => {
    const inner = html`<i>${"<&>"}</i>`;
    expect(html`<b>${[inner, undefined, false, 3]}</b>`.text).toBe("<b><i>&lt;&amp;&gt;</i>3</b>");
  });

  it("draws histograms of anything", () => {
    expect(histogram([Number.POSITIVE_INFINITY], String).text).toMatch(/no finite values/);
    expect(histogram([1, 1, 1], String).text).toMatch(/median 1/);
    expect(histogram([1, 2, 9], String).text.match(/<rect/g)).toHaveLength(40);
  });

  it("writes times in fitting units", () => {
    expect([3.25, 59.6, 75, 3700].map(formatSeconds)).toEqual(["3.3 s", "60 s", "1 min 15 s", "1 h 1 min"]);
  });
});
