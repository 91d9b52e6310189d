/** Evaluation of sets with the FID network at full size. */
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { useEngine } from "@dcae/test-support/engine";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { writeNetworks } from "@dcae/test-support/network-weights";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, it } from "vitest";
import { openNpz, writeNpz } from "../../src/files/npz.node.js";
import type { FindNetworkOptions } from "../../src/networks/find-network.node.js";
import { resolveProtocol } from "../../src/protocols/protocol.js";
import { MissingPartsError } from "../../src/runners/chunked-run.node.js";
import { evaluateGeneration, type GenerationOptions } from "../../src/runners/evaluate-generation.node.js";
import { computeStatistics } from "../../src/runners/extract-features.node.js";
import { openReference } from "../../src/runners/open-reference.node.js";
import { folderSource } from "../../src/sources/folder-source.node.js";
import { memorySource } from "../../src/sources/picture-source.js";
import { mergeStatistics, readStatistics } from "../../src/statistics/statistics-file.node.js";
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

async function statistics(name: string, changes: Partial<Parameters<typeof computeStatistics>[0]> = {}) {
  const out = join(folder, name);
  const source = await folderSource(photos, { protocol });
  const result = await computeStatistics({
    source,
    protocol,
    engine,
    weights,
    batchSize: 4,
    out,
    ...changes,
  });
  return { out, result };
}

describe("evaluateGeneration", () => {
  it("gives FID 0 and full precision to the reference itself", async () => {
    const own = await folderSource(photos, { protocol });
    const result = await run({
      samples: own,
      reference: await openReference(photos, protocol),
      metrics: ["fid", "recall", "precision"],
    });
    expect(result.metrics.fid?.value).toBeCloseTo(0, 6);
    expect([result.metrics.precision?.value, result.metrics.recall?.value]).toEqual([1, 1]);
  });

  it("takes statistics from a file, to the same FID, and names what needs pictures", async () => {
    const { out } = await statistics("reference.npz");
    const direct = await run({ reference: await openReference(photos, protocol), metrics: ["fid"] });
    const result = await run({ reference: await openReference(out, protocol), metrics: ["fid", "precision"] });
    expect(result.metrics.fid?.value).toBeCloseTo(direct.metrics.fid?.value ?? Number.NaN, 9);
    expect(result.missing).toEqual([
      expect.objectContaining({ metric: "precision", reason: expect.stringMatching(/holds statistics, not pictures/) }),
    ]);
  });

  it("refuses statistics of another network input, or of other weights", async () => {
    const adm = resolveProtocol({ preset: "adm", scoreSplits: 2 });
    const { out } = await statistics("tf1.npz", { protocol: adm });
    const result = await run({ reference: await openReference(out, protocol), metrics: ["fid"] });
    expect(result.metrics).toEqual({});
    expect(result.missing[0]?.reason).toMatch(/were made with the tf1 input, the protocol uses pytorch-fid/);
    const same = await run({ reference: await openReference(out, adm), protocol: adm, metrics: ["fid"] });
    expect(same.metrics.fid?.value).toBeGreaterThan(0);
  });

  it("reads pictures of an archive in ADM's layout, and doesn't mix its statistics with another pipeline", async () => {
    const path = join(folder, "adm.npz");
    const pictures = new Uint8Array(4 * 40 * 40 * 3);
    [0, 1, 2, 3].forEach((seed, i) => {
      pictures.set(formulaImage(40, 40, seed).data, i * 40 * 40 * 3);
    });
    const { out } = await statistics("for-adm.npz");
    const npz = await openNpz(out);
    const [mu, sigma] = [await npz.read("mu"), await npz.read("sigma")];
    await npz.close();
    await writeNpz(path, { arr_0: new Tensor("uint8", pictures, [4, 40, 40, 3]), mu, sigma }, { compress: true });
    const reference = await openReference(path, protocol);
    expect(reference.pictures?.count).toBe(4);
    const result = await run({ reference, metrics: ["fid", "recall"] });
    expect(result.warnings.some((text) => text.includes("FID is taken to its 4 pictures instead"))).toBe(true);
    expect(result.metrics.fid?.value).toBeGreaterThan(0);
    expect(result.metrics.recall?.value).toBeGreaterThan(0);
  });

  it("needs no reference for the inception score", async () => {
    const result = await run({ metrics: ["is", "fid"] });
    expect(Object.keys(result.metrics)).toEqual(["is"]);
    expect(result.missing[0]).toMatchObject({ metric: "fid", reason: "there is no reference to compare with" });
    const few = await run({ metrics: ["is"], protocol: resolveProtocol({}) });
    expect(few.missing[0]?.reason).toBe("5 pictures can't be cut into the 10 parts of the protocol");
  });

  it("is shared by processes that each compute some chunks of both sets, to the numbers of one", async () => {
    const settings = { reference: await openReference(photos, protocol), metrics: ["fid", "is"], chunkSize: 2 };
    const alone = await run(settings);
    const part = (index: number) => run({ ...settings, workFolder: join(folder, "shared"), part: { index, count: 3 } });
    await expect(part(2)).rejects.toThrow(MissingPartsError);
    await expect(part(0)).rejects.toThrow(/parts lack, of the shards 2\/3/);
    expect((await part(1)).metrics).toEqual(alone.metrics);
    expect((await part(0)).metrics).toEqual(alone.metrics);
  });

  it("resumes from its work folder", async () => {
    const workFolder = join(folder, "work");
    const settings = { metrics: ["is"], workFolder, chunkSize: 2 };
    const first = await run(settings);
    let resumed = 0;
    const again = await run({
      ...settings,
      onProgress: (progress) => (resumed = Math.max(resumed, progress.resumed ?? 0)),
    });
    expect(resumed).toBe(5);
    expect(again.metrics).toEqual(first.metrics);
  });
});

describe("computeStatistics", () => {
  it("gives in shards, merged, the file of the whole", async () => {
    const { out: whole } = await statistics("whole.npz");
    const shards: string[] = [];
    for (const index of [1, 0]) {
      const shard = { index, of: 2 };
      const source = await folderSource(photos, { protocol, shard });
      const { out } = await statistics(`shard-${index}.npz`, { source, shard });
      shards.push(out);
    }
    const out = join(folder, "merged.npz");
    expect((await mergeStatistics(shards, out)).count).toBe(4);
    const [a, b] = [await readStatistics(whole), await readStatistics(out)];
    expect(b.sums?.count).toBe(4);
    // Batches of other sizes may round differently inside of the network; the sums themselves add up exactly.
    const largest = a.statistics.mean.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    a.statistics.mean.forEach((value, i) => {
      expect(Math.abs(value - (b.statistics.mean[i] as number))).toBeLessThanOrEqual(1e-5 * largest);
    });
  });

  it("says which weights are missing and where to get them", async () => {
    const none = { environment: { XDG_CACHE_HOME: join(folder, "nothing") } };
    await expect(statistics("x.npz", { weights: none })).rejects.toThrow(/weights of the FID Inception aren't here/);
  });
});
