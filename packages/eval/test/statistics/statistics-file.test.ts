import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeNpz } from "../../src/files/npz-writer.node.js";
import { PROTOCOLS } from "../../src/protocols/protocol.js";
import { createFeatureAccumulator } from "../../src/statistics/feature-accumulator.js";
import { mergeStatistics, readStatistics, writeStatistics } from "../../src/statistics/statistics-file.node.js";
import { goldenPath, loadGolden, tensorOf } from "../support/golden.js";
import { temporaryFolder } from "../support/temporary-folder.js";

const folder = temporaryFolder();
const info = {
  protocol: PROTOCOLS["dc-ae"],
  pipeline: "pytorch-fid",
  networks: ["abc"],
  source: "pictures",
  warnings: [],
} as const;

async function shard(name: string, start: number, end: number, index: number, of: number, changes: object = {}) {
  const golden = await loadGolden("fid_stats");
  const features = tensorOf(golden, "in.features");
  const accumulator = createFeatureAccumulator(24);
  accumulator.add(features.slice([{ start, stop: end }]).toFloat32());
  const path = join(folder, name);
  await writeStatistics(path, accumulator, { ...info, shards: [{ index, of }], ...changes });
  return path;
}

describe("mergeStatistics", () => {
  it("gives the bits of one run over everything", async () => {
    const parts = [await shard("a.npz", 0, 50, 0, 3), await shard("b.npz", 50, 51, 1, 3).catch(() => "")];
    // A shard of one image has no covariance, so it can't be a file.
    expect(parts[1]).toBe("");
    const files = [await shard("c.npz", 100, 203, 2, 3), await shard("d.npz", 50, 100, 1, 3), parts[0] as string];
    const out = join(folder, "merged.npz");
    expect(await mergeStatistics(files, out)).toEqual({ count: 203 });
    const whole = await readStatistics(await shard("whole.npz", 0, 203, 0, 1));
    const merged = await readStatistics(out);
    expect(merged.statistics).toEqual({ ...whole.statistics, name: out });
    expect(merged.sums).toEqual(whole.sums);
    expect(merged.info?.shards).toHaveLength(3);
  });

  it("refuses a shard that is there twice, in whatever cut", async () => {
    const half = await shard("half.npz", 0, 101, 0, 2);
    const third = await shard("third.npz", 0, 67, 0, 3);
    const last = await shard("last.npz", 136, 203, 2, 3);
    const out = join(folder, "twice.npz");
    await expect(mergeStatistics([half, half], out)).rejects.toThrow(/shard 0 of 2, which is in another file already/);
    await expect(mergeStatistics([half, third], out)).rejects.toThrow(/shard 0 of 3, which is in another file/);
    expect(await mergeStatistics([half, last], out)).toEqual({ count: 168 });
  });

  it("refuses files of different protocols or networks", async () => {
    const a = await shard("p.npz", 0, 50, 0, 2);
    const out = join(folder, "mixed.npz");
    const other = await shard("q.npz", 50, 90, 1, 2, { protocol: PROTOCOLS.adm });
    await expect(mergeStatistics([a, other], out)).rejects.toThrow(/p\.npz and .*q\.npz differ in protocol/);
    const network = await shard("r.npz", 50, 90, 1, 2, { networks: ["def"] });
    await expect(mergeStatistics([a, network], out)).rejects.toThrow(/differ in networks/);
  });

  it("refuses files of other tools, which don't say how many images they have", async () => {
    const golden = goldenPath("npz_stats.npz");
    await expect(mergeStatistics([golden, golden], join(folder, "x.npz"))).rejects.toThrow(
      /was written by another tool and can't be merged/,
    );
    await expect(mergeStatistics([golden], join(folder, "x.npz"))).rejects.toThrow(/needs at least two files/);
  });
});

describe("readStatistics", () => {
  it("refuses shapes that don't belong together", async () => {
    const golden = await loadGolden("frechet_well");
    const path = join(folder, "shapes.npz");
    await writeNpz(path, { mu: tensorOf(golden, "in.mu1"), sigma: tensorOf(golden, "in.sigma1").slice([{ stop: 3 }]) });
    await expect(readStatistics(path)).rejects.toThrow(/"sigma" is float64 \[3, \d+\], expected float64/);
  });

  it("says what a file without statistics has", async () => {
    const path = join(folder, "other.npz");
    await writeNpz(path, { features: tensorOf(await loadGolden("fid_stats"), "in.features") });
    await expect(readStatistics(path)).rejects.toThrow(/has no "mu" and "sigma", only features/);
  });
});
