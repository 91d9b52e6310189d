import { join } from "node:path";
import { DataError, Tensor } from "@dcae/core";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, it } from "vitest";
import { writeNpz } from "../../src/files/npz.node.js";
import { PROTOCOLS } from "../../src/protocols/protocol.js";
import { createFeatureAccumulator } from "../../src/statistics/feature-accumulator.js";
import { mergeStatistics, readStatistics, writeStatistics } from "../../src/statistics/statistics-file.node.js";
import { goldenPath, loadGolden } from "../support/golden.js";

const folder = temporaryFolder();
const info = {
  protocol: PROTOCOLS["dc-ae"],
  pipeline: "pytorch-fid",
  networks: ["abc"],
  source: "pictures",
  set: "of these pictures",
  sizes: { "512x512": 1 },
  warnings: [],
} as const;

const features = Tensor.float32(
  Float32Array.from({ length: 203 * 24 }, (_, i) => Math.sin(i * i)),
  [203, 24],
);

async function shard(name: string, start: number, end: number, index: number, of: number, changes: object = {}) {
  const accumulator = createFeatureAccumulator(features.shape[1] as number);
  accumulator.add(features.slice([{ start, stop: end }]).toFloat32());
  const path = join(folder, name);
  await writeStatistics(path, accumulator, { ...info, shards: [{ index, of }], ...changes });
  return path;
}

describe("mergeStatistics", () => {
  it("gives the bits of one run over everything", async () => {
    const files = [
      await shard("c.npz", 100, 203, 2, 3),
      await shard("d.npz", 50, 100, 1, 3),
      await shard("a.npz", 0, 50, 0, 3),
    ];
    const out = join(folder, "merged.npz");
    const { count, shards, warnings } = await mergeStatistics(files, out);
    expect([count, shards.length, warnings]).toEqual([203, 3, []]);
    const whole = await readStatistics(await shard("whole.npz", 0, 203, 0, 1));
    const merged = await readStatistics(out);
    expect(merged.statistics).toEqual({ ...whole.statistics, name: out });
    expect(merged.sums).toEqual(whole.sums);
    expect(merged.info?.shards).toHaveLength(3);
    expect(merged.info?.sizes).toEqual({ "512x512": 3 });
  });

  it("takes shards of one image, which have sums but no covariance yet", async () => {
    const files = await Promise.all([0, 1, 2].map((i) => shard(`single-${i}.npz`, i, i + 1, i, 3)));
    const out = join(folder, "singles.npz");
    expect((await mergeStatistics(files, out)).count).toBe(3);
    const merged = await readStatistics(out);
    const whole = await readStatistics(await shard("three.npz", 0, 3, 0, 1));
    expect(merged.sums).toEqual(whole.sums);
    expect(merged.statistics).toEqual({ ...whole.statistics, name: out });
    // Two of them are a part, which merges with the third.
    const part = join(folder, "two-singles.npz");
    await mergeStatistics(files.slice(0, 2), part);
    const all = join(folder, "all-singles.npz");
    expect((await mergeStatistics([part, files[2] as string], all)).warnings).toEqual([
      "3 pictures give a singular covariance of 24 dimensions; distances to it are biased",
    ]);
    expect((await readStatistics(all)).sums).toEqual(whole.sums);
    await expect(readStatistics(files[0] as string)).rejects.toThrow(
      /single-0\.npz: holds the sums of 1 picture, a covariance needs 2/,
    );
    // A whole set of one image will never have one.
    await expect(shard("one.npz", 0, 1, 0, 1)).rejects.toThrow(/a covariance needs at least 2 images, got 1/);
  });

  it("refuses a number of images that is none", async () => {
    const path = await shard("counted.npz", 0, 50, 0, 2);
    const { statistics, sums, info: stated } = await readStatistics(path);
    const write = (count: bigint | bigint[]) =>
      writeNpz(path, {
        mu: new Tensor("float64", statistics.mean, [24]),
        sigma: new Tensor("float64", statistics.covariance, [24, 24]),
        dcae_count: Array.isArray(count)
          ? new Tensor("int64", BigInt64Array.from(count), [count.length])
          : new Tensor("int64", BigInt64Array.of(count), []),
        dcae_sums: new Tensor("float64", sums!.sums, [sums!.sums.length]),
        dcae_products: new Tensor("float64", sums!.products, [sums!.products.length]),
        dcae_info: new Tensor("uint8", new TextEncoder().encode(JSON.stringify(stated)), [
          JSON.stringify(stated).length,
        ]),
      });
    await write(50n);
    expect((await readStatistics(path)).statistics.count).toBe(50);
    for (const wrong of [2n ** 60n, -3n, 1n, [], [50n, 50n]]) {
      await write(wrong);
      await expect(readStatistics(path)).rejects.toThrow(DataError);
      await expect(readStatistics(path)).rejects.toThrow(/"dcae_count" is .*, expected a number of images/);
    }
  });

  it("refuses a shard that is there twice, in whatever cut", async () => {
    const half = await shard("half.npz", 0, 101, 0, 2);
    const third = await shard("third.npz", 0, 67, 0, 3);
    const last = await shard("last.npz", 136, 203, 2, 3);
    const out = join(folder, "twice.npz");
    await expect(mergeStatistics([half, half], out)).rejects.toThrow(/shard 1 of 2, which is in another file already/);
    await expect(mergeStatistics([half, third], out)).rejects.toThrow(/shard 1 of 3, which is in another file/);
    expect((await mergeStatistics([half, last], out)).count).toBe(168);
  });

  it("says which share of the set is missing, and that few pictures give a singular covariance", async () => {
    const out = join(folder, "part.npz");
    const parts = [await shard("1.npz", 0, 10, 0, 4), await shard("2.npz", 10, 20, 1, 4)];
    const { warnings } = await mergeStatistics(parts, out);
    expect(warnings).toEqual([
      "20 pictures give a singular covariance of 24 dimensions; distances to it are biased",
      "50.0 % of the set is in none of these files (shard 3/4, 4/4); merge the other shards too",
    ]);
    // Merged with the rest, neither is true any more.
    const rest = await shard("3.npz", 20, 203, 1, 2);
    expect((await mergeStatistics([out, rest], join(folder, "all.npz"))).warnings).toEqual([]);
  });

  it("refuses files of different protocols or networks", async () => {
    const a = await shard("p.npz", 0, 50, 0, 2);
    const out = join(folder, "mixed.npz");
    const other = await shard("q.npz", 50, 90, 1, 2, { protocol: PROTOCOLS.adm });
    await expect(mergeStatistics([a, other], out)).rejects.toThrow(/p\.npz and .*q\.npz differ in their protocol/);
    const network = await shard("r.npz", 50, 90, 1, 2, { networks: ["def"] });
    await expect(mergeStatistics([a, network], out)).rejects.toThrow(/differ in their network weights/);
    const foreign = await shard("s.npz", 50, 90, 1, 2, { set: "of other pictures" });
    await expect(mergeStatistics([a, foreign], out)).rejects.toThrow(/differ in their picture files/);
    // Where the pictures lay doesn't matter.
    const elsewhere = await shard("t.npz", 50, 90, 1, 2, { source: "/mnt/pictures" });
    expect((await mergeStatistics([a, elsewhere], out)).count).toBe(90);
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
    await writeNpz(path, { mu: golden.tensor("in.mu1"), sigma: golden.tensor("in.sigma1").slice([{ stop: 3 }]) });
    await expect(readStatistics(path)).rejects.toThrow(/"sigma" is float64 \[3, \d+\], expected float64/);
  });

  it("says what a file without statistics has", async () => {
    const path = join(folder, "other.npz");
    await writeNpz(path, { features });
    await expect(readStatistics(path)).rejects.toThrow(/has no "mu" and "sigma", only features/);
  });
});
