import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { DataError, Tensor } from "@dcae/core";
import { encodeNpyHeader, readNpyFile } from "@dcae/core/checkpoint";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, it, vi } from "vitest";
import { openNpz, writeNpz } from "../../src/files/npz.node.js";
import { npzSource } from "../../src/sources/npz-source.node.js";
import { readStatistics } from "../../src/statistics/statistics-file.node.js";
import { goldenJson, goldenPath } from "../support/golden.js";

const folder = temporaryFolder();
const expected = goldenJson("npz_samples");

/** An archive of one deflated member, whose directory says that it has `size` bytes. */
function zipOf(file: string, deflated: Uint8Array, size: number, array = "a"): string {
  const name = Buffer.from(`${array}.npy`);
  const header = (signature: number, more: readonly (readonly [value: number, bytes: number])[]) => {
    const fields = [[signature, 4], ...more] as const;
    const out = Buffer.alloc(fields.reduce((sum, [, bytes]) => sum + bytes, 0));
    let at = 0;
    for (const [value, bytes] of fields) at = out.writeUIntLE(value, at, bytes);
    return out;
  };
  const common = [
    ...[
      [20, 2],
      [0, 2],
      [8, 2],
      [0, 4],
    ],
    ...[
      [0, 4],
      [deflated.length, 4],
      [size, 4],
      [name.length, 2],
      [0, 2],
    ],
  ] as [number, number][];
  const local = Buffer.concat([header(0x04034b50, common), name, deflated]);
  const rest = [
    [0, 2],
    [0, 2],
    [0, 2],
    [0, 4],
    [0, 4],
  ] as [number, number][];
  const directory = Buffer.concat([header(0x02014b50, [[20, 2], ...common, ...rest]), name]);
  const end = header(0x06054b50, [
    [0, 4],
    [1, 2],
    [1, 2],
    [directory.length, 4],
    [local.length, 4],
    [0, 2],
  ]);
  const path = join(folder, file);
  writeFileSync(path, Buffer.concat([local, directory, end]));
  return path;
}

/** Writes a copy of `source` with other bytes at `at`. */
function damaged(source: string, name: string, at: number, bytes: readonly number[]): string {
  const content = readFileSync(source);
  content.set(bytes, at);
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe("files that NumPy wrote", () => {
  it("statistics, stored, float64", async () => {
    const { statistics, sums, info, hasPictures } = await readStatistics(goldenPath("npz_stats.npz"));
    expect(Array.from(statistics.mean)).toEqual(expected.mu);
    expect(Array.from(statistics.covariance)).toEqual(expected.sigma.flat());
    expect([statistics.stored, statistics.count, sums, info, hasPictures]).toEqual([
      "float64",
      undefined,
      undefined,
      undefined,
      false,
    ]);
  });

  it("statistics, deflated, float32, Fortran order", async () => {
    const { statistics } = await readStatistics(goldenPath("npz_stats_compressed_f32.npz"));
    expect(Array.from(statistics.mean)).toEqual(expected.mu.map(Math.fround));
    expect(Array.from(statistics.covariance)).toEqual(expected.sigma.flat().map(Math.fround));
    expect(statistics.stored).toBe("float32");
  });

  it("an archive in ADM's layout, with pictures item by item", async () => {
    const path = goldenPath("npz_adm_style.npz");
    const { statistics, spatial, hasPictures } = await readStatistics(path);
    expect(hasPictures).toBe(true);
    expect(statistics.mean).toHaveLength(expected.mu.length);
    expect(spatial?.covariance).toHaveLength((spatial?.mean.length ?? 0) ** 2);
    const npz = await openNpz(path);
    const { shape, dtype, formula_seeds: seeds } = expected.arr_0;
    const [count, height, width, channels] = shape as [number, number, number, number];
    const size = height * width * channels;
    expect(await npz.describe("arr_0")).toMatchObject({ shape, dtype });
    const pieces: number[] = [];
    let sum = 0;
    const pictures: Uint8Array[] = [];
    for await (const bytes of npz.items("arr_0", 2)) {
      pieces.push(bytes.length / size);
      sum += bytes.reduce((total, value) => total + value, 0);
      pictures.push(bytes.slice(0, size));
    }
    await npz.close();
    expect(pieces).toEqual([...Array(Math.floor(count / 2)).fill(2), ...Array(count % 2).fill(1)]);
    expect(sum).toBe(expected.arr_0.sum);
    const firsts = (seeds as number[]).filter((_, i) => i % 2 === 0);
    expect(pictures).toEqual(firsts.map((seed) => formulaImage(width, height, seed).data));
  });

  it("a lone array", async () => {
    const features = await readNpyFile(goldenPath("features.npy"));
    expect(features.toFloat32().reduce((total, value) => total + value, 0)).toBeCloseTo(expected.features_sum, 5);
  });
});

describe("files of our own", () => {
  it.each([false, true])("come back as they were (deflated: %s)", async (compress) => {
    const path = join(folder, `own-${compress}.npz`);
    const arrays = {
      mu: new Tensor("float64", Float64Array.of(1.5, -2), [2]),
      pictures: new Tensor(
        "uint8",
        Uint8Array.from({ length: 3000 }, (_, i) => i % 7),
        [10, 300],
      ),
      count: new Tensor("int64", BigInt64Array.of(2n ** 40n), []),
    };
    await writeNpz(path, arrays, { compress });
    const npz = await openNpz(path);
    expect(npz.names).toEqual(["mu", "pictures", "count"]);
    for (const [name, tensor] of Object.entries(arrays)) {
      const read = await npz.read(name);
      expect([read.dtype, read.shape, read.data]).toEqual([tensor.dtype, tensor.shape, tensor.data]);
    }
    await npz.close();
  });

  it("are equal where their content is, whatever the time", async () => {
    const [first, second] = [join(folder, "first.npz"), join(folder, "second.npz")];
    const arrays = { a: Tensor.zeros([100]), b: Tensor.zeros([3], "float64") };
    await writeNpz(first, arrays);
    vi.useFakeTimers({ toFake: ["Date"], now: new Date(2040, 5, 6) });
    await writeNpz(second, arrays);
    vi.useRealTimers();
    expect(readFileSync(second)).toEqual(readFileSync(first));
  });

  const streamed = (pieces: readonly number[], byteLength: number, failure?: Error) => ({
    dtype: "uint8" as const,
    shape: [byteLength],
    byteLength,
    content: (async function* () {
      for (const length of pieces) yield new Uint8Array(length).fill(length);
      if (failure !== undefined) throw failure;
    })(),
  });

  it.each([false, true])("hold arrays that are made while they are written (deflated: %s)", async (compress) => {
    const path = join(folder, `streamed-${compress}.npz`);
    await writeNpz(path, { a: streamed([200, 0, 100, 7], 307), b: Tensor.zeros([5]) }, { compress });
    const npz = await openNpz(path);
    const read = await npz.read("a");
    expect([...read.data.slice(198, 203), ...read.data.slice(299)]).toEqual([
      200,
      200,
      100,
      100,
      100,
      100,
      ...Array(7).fill(7),
    ]);
    expect((await npz.read("b")).shape).toEqual([5]);
    await npz.close();
  });

  it("aren't there when an array has another length than announced, or can't be made", async () => {
    const path = join(folder, "failed.npz");
    await expect(writeNpz(path, { a: streamed([10], 11) })).rejects.toThrow(
      /array "a" has 10 bytes, 11 were announced/,
    );
    const failure = new DataError("the picture is gone");
    const arrays = { a: streamed([10, 20], 30, failure), b: Tensor.zeros([5]) };
    await expect(writeNpz(path, arrays)).rejects.toBe(failure);
    expect(readdirSync(folder).filter((name) => name.includes("failed"))).toEqual([]);
  });
});

describe("hostile and damaged archives", () => {
  it("ends at the first byte more than the archive claims", async () => {
    const content = Buffer.concat([encodeNpyHeader("uint8", [72]), new Uint8Array(1_000_000)]);
    const npz = await openNpz(zipOf("bomb.npz", deflateRawSync(content), 200));
    await expect(npz.read("a")).rejects.toThrow(/it has more than the 200 bytes that the archive claims/);
    await npz.close();
  });

  it("compares the array's header with the size in the directory before memory is allocated", async () => {
    const content = Buffer.concat([encodeNpyHeader("uint8", [1, 8, 8, 3]), new Uint8Array(100_000)]);
    const path = zipOf("larger.npz", deflateRawSync(content), content.length);
    const message = /larger\.npz: a: an array of uint8 with shape \(1, 8, 8, 3\) has 192 bytes, the archive has 100000/;
    const npz = await openNpz(path);
    await expect(npz.read("a")).rejects.toThrow(message);
    await expect(npz.describe("a")).rejects.toThrow(message);
    await expect(npz.items("a", 16).next()).rejects.toThrow(message);
    await npz.close();
  });

  it("refuses sizes that deflated bytes can't hold", async () => {
    const stored = deflateRawSync(encodeNpyHeader("uint8", [2 ** 30]));
    await expect(openNpz(zipOf("claim.npz", stored, 2 ** 30 + 128))).rejects.toThrow(
      /"a\.npy" claims 1073741952 bytes in \d+ deflated ones/,
    );
  });

  it("refuses pictures of more pixels than other files may have, before one is read", async () => {
    const header = encodeNpyHeader("uint8", [1, 20_000, 20_000, 3]);
    // Bytes that don't deflate: enough of them for what the directory claims.
    const noise = Uint8Array.from({ length: 1_500_000 }, (_, i) => Math.imul(i, 2_654_435_761) >>> 24);
    const path = zipOf(
      "large.npz",
      deflateRawSync(Buffer.concat([header, noise]), { level: 0 }),
      header.length + 1.2e9,
      "arr_0",
    );
    await expect(npzSource(path)).rejects.toThrow(/pictures of 20000x20000 pixels are too large/);
  });

  it("refuses arrays that are larger than expected before it allocates them", async () => {
    const npz = await openNpz(goldenPath("npz_stats.npz"));
    await expect(npz.read("sigma", 100)).rejects.toThrow(/"sigma" has \d+ bytes, more than the 100 that are expected/);
    await npz.close();
  });

  it("notices a changed byte", async () => {
    const path = goldenPath("npz_stats.npz");
    const at = readFileSync(path).indexOf(Buffer.from("descr")) + 150;
    const npz = await openNpz(damaged(path, "changed.npz", at, [1, 2, 3]));
    await expect(npz.read(npz.names[0] as string)).rejects.toThrow(/checksum is wrong/);
    await npz.close();
  });

  it("names what isn't an archive", async () => {
    await expect(openNpz(goldenPath("features.npy"))).rejects.toThrow(/features\.npy: not a readable zip archive/);
    await expect(openNpz(join(folder, "absent.npz"))).rejects.toThrow(/absent\.npz: can't read: no such file/);
  });

  it("names an array that isn't there", async () => {
    const npz = await openNpz(goldenPath("npz_stats.npz"));
    await expect(npz.read("arr_0")).rejects.toThrow(/has no array "arr_0", only mu, sigma/);
    await npz.close();
  });

  it("refuses members that lie in each other", async () => {
    const path = join(folder, "two.npz");
    await writeNpz(path, { a: Tensor.zeros([100]), b: Tensor.zeros([100]) });
    const content = readFileSync(path);
    const second = content.lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2]));
    const offset = second + 46 + "b.npy".length + 4 + 16;
    await expect(openNpz(damaged(path, "overlap.npz", offset, [0, 0, 0, 0]))).rejects.toThrow(/overlaps/);
  });
});
