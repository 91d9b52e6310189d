/** Evaluation of sets: what is computed, what is named instead. The rest, with many runs of the full network: generation.soak.test.ts. */
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { useEngine } from "@dcae/test-support/engine";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { writeNetworks } from "@dcae/test-support/network-weights";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, it } from "vitest";
import { writeNpz } from "../../src/files/npz.node.js";
import type { FindNetworkOptions } from "../../src/networks/find-network.node.js";
import { resolveProtocol } from "../../src/protocols/protocol.js";
import { evaluateGeneration, type GenerationOptions } from "../../src/runners/evaluate-generation.node.js";
import { openReference } from "../../src/runners/open-reference.node.js";
import { memorySource } from "../../src/sources/picture-source.js";
import { formulaPictures, writePictures } from "../support/picture-folder.js";

const engine = useEngine();
const folder = temporaryFolder();
const protocol = resolveProtocol({ scoreSplits: 2, crop: "none" });
const samples = memorySource(
  "samples",
  [2, 3, 7, 8, 9].map((seed) => formulaImage(40, 40, seed)),
);
let photos: string;
let weights: FindNetworkOptions;

beforeAll(async () => {
  photos = await writePictures(join(folder, "photos"), formulaPictures(4, 40, 40));
  weights = await writeNetworks(folder);
});

async function run(changes: Partial<GenerationOptions> = {}) {
  return evaluateGeneration({ samples, protocol, engine, weights, batchSize: 4, ...changes });
}

describe("evaluateGeneration", () => {
  it("computes what it can and names the rest", async () => {
    const result = await run({ reference: await openReference(photos, protocol) });
    expect(Object.keys(result.metrics).sort()).toEqual(["fid", "is", "precision", "recall", "sfid"]);
    expect(result.metrics.fid?.value).toBeGreaterThan(0);
    expect(result.metrics.is?.value).toBeGreaterThanOrEqual(1);
    // Two of five samples are pictures of the reference, so their balls hold at least those.
    expect(result.metrics.precision?.value).toBeGreaterThanOrEqual(0.4);
    expect(result.missing).toEqual([
      expect.objectContaining({ metric: "cmmd", reason: expect.stringMatching(/CLIP ViT-L\/14 .* aren't here/) }),
    ]);
    expect(result.warnings.some((text) => text.includes("4 and 5 images"))).toBe(true);
  });

  it("warns about statistics of other tools and refuses other dimensions", async () => {
    const path = join(folder, "small.npz");
    const eye = Float64Array.from({ length: 9 }, (_, i) => (i % 4 === 0 ? 1 : 0));
    await writeNpz(path, {
      mu: new Tensor("float64", new Float64Array(3), [3]),
      sigma: new Tensor("float64", eye, [3, 3]),
    });
    const reference = await openReference(path, protocol);
    await expect(run({ reference, metrics: ["fid"] })).rejects.toThrow(
      /small\.npz: its statistics have 3 dimensions, the features here have 2048/,
    );
  });
});
