import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, it } from "vitest";
import { blobSource, bytesSource } from "../../src/checkpoint/byte-source.js";
import { openFileSource } from "../../src/checkpoint/file-source.node.js";
import { openSafetensorsFile, writeSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import { openSafetensors } from "../../src/checkpoint/safetensors/reader.js";
import {
  encodeSafetensors,
  planSafetensors,
  tensorEntries,
  type WritableEntry,
} from "../../src/checkpoint/safetensors/writer.js";
import { findNonFinite } from "../../src/checkpoint/weights.js";
import { CheckpointError, DataError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";
import { rawSafetensors } from "../support/raw-safetensors.js";

const folder = temporaryFolder();
const weights = (): WritableEntry[] =>
  tensorEntries([
    [
      "matrix",
      Tensor.from([
        [1, 2],
        [3, 4],
      ]),
    ],
    ["half", Tensor.from([1.5, -2, 3]).cast("float16")],
    ["steps", new Tensor("int64", BigInt64Array.of(9n), [])],
  ]);

describe("reading a file", () => {
  it("gives entries with their place in the file, and reads them one by one", async () => {
    const path = join(folder, "plain.safetensors");
    const size = await writeSafetensorsFile(path, weights());
    const bytes = readFileSync(path);
    expect(bytes).toHaveLength(size);
    const file = await openSafetensorsFile(path);
    expect(file.source).toBe(path);
    for (const { name, dtype, shape, read } of weights()) {
      const entry = file.entries.get(name);
      const expected = await read();
      expect([entry?.dtype, entry?.shape]).toEqual([dtype, shape]);
      const { path: where, offset, byteLength } = entry?.location ?? { path: "", offset: 0, byteLength: 0 };
      expect(where).toBe(path);
      expect(new Uint8Array(bytes.subarray(offset, offset + byteLength))).toEqual(expected.bytes);
      expect((await entry?.read())?.bytes).toEqual(expected.bytes);
    }
    await file.close();
    await file.close();
    await expect(file.entries.get("matrix")?.read()).rejects.toThrow(/read after close/);
  });

  it("copies arrays that don't lie aligned", async () => {
    // A header of odd length moves all data off its alignment.
    const data = new Uint8Array(Float32Array.of(1.5, -2).buffer);
    let json = JSON.stringify({ a: { dtype: "F32", shape: [2], data_offsets: [0, 8] } });
    if (json.length % 2 === 0) json += " ";
    const bytes = rawSafetensors(json, data);
    const path = join(folder, "unaligned.safetensors");
    writeFileSync(path, bytes);
    for (const source of [bytesSource(bytes), blobSource(new Blob([bytes])), await openFileSource(path)]) {
      const file = await openSafetensors(source);
      expect(Array.from((await file.entries.get("a")?.read())?.toFloat32() ?? [])).toEqual([1.5, -2]);
      await file.close();
    }
    expect(
      Array.from(
        (await (await openSafetensors(bytesSource(Buffer.from(bytes)))).entries.get("a")?.read())?.toFloat32() ?? [],
      ),
    ).toEqual([1.5, -2]);
  });

  it("reads many entries at the same time", async () => {
    const path = join(folder, "parallel.safetensors");
    const list = Array.from({ length: 50 }, (_, i) => [`t${i}`, Tensor.full([100], i)] as const);
    await writeSafetensorsFile(path, tensorEntries(list));
    const file = await openSafetensorsFile(path);
    const read = await Promise.all(list.map(([name]) => file.entries.get(name)?.read()));
    for (const [i, tensor] of read.entries()) expect(tensor?.data).toEqual(list[i]?.[1].data);
    await file.close();
  });

  it("opens a file of 6 GB and reads a small array of it without loading the rest", async () => {
    const path = join(folder, "sparse.safetensors");
    const large = 3 * 2 ** 30;
    const entries = [
      { name: "large", dtype: "float32" as const, shape: [2, large / 4] },
      { name: "small", dtype: "bfloat16" as const, shape: [3] },
    ];
    const { header, byteLength } = planSafetensors(entries);
    writeFileSync(path, header);
    // Sparse: takes no space on the disk.
    truncateSync(path, byteLength);
    const end = openSync(path, "r+");
    writeSync(end, Buffer.from(Tensor.from([1, 2, 3]).cast("bfloat16").bytes), 0, 6, byteLength - 6);
    closeSync(end);

    const before = process.memoryUsage();
    const file = await openSafetensorsFile(path);
    const small = await file.entries.get("small")?.read();
    const after = process.memoryUsage();
    expect(Array.from(small?.toFloat32() ?? [])).toEqual([1, 2, 3]);
    expect(file.entries.get("large")?.location?.byteLength).toBe(2 * large);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(2 ** 20);
    await file.close();
  });

  it("NaN weights are read as they are, and found on request", async () => {
    const path = join(folder, "nan.safetensors");
    const bad = Tensor.from([
      [1, Number.NaN],
      [Number.POSITIVE_INFINITY, 4],
    ]);
    await writeSafetensorsFile(
      path,
      tensorEntries([
        ["bad", bad],
        ["good", Tensor.from([1])],
        ["half", bad.cast("bfloat16")],
      ]),
    );
    const file = await openSafetensorsFile(path);
    const read = async (name: string) => (await file.entries.get(name)?.read()) as Tensor;
    expect((await read("bad")).bytes).toEqual(bad.bytes);
    expect(findNonFinite(await read("bad"))).toEqual({ count: 2, firstIndex: 1, firstValue: Number.NaN });
    expect(findNonFinite(await read("half"))).toEqual({ count: 2, firstIndex: 1, firstValue: Number.NaN });
    expect(findNonFinite((await read("bad")).transpose())?.firstIndex).toBe(1);
    expect(findNonFinite(await read("good"))).toBeUndefined();
    expect(findNonFinite(Tensor.zeros([2], "int64"))).toBeUndefined();
    await file.close();
  });
});

describe("one clear line for", () => {
  const empty = join(folder, "empty.safetensors");
  writeFileSync(empty, "");
  mkdirSync(join(folder, "directory.safetensors"));
  const cases: readonly [string, string, RegExp][] = [
    ["a missing file", join(folder, "missing.safetensors"), /no such file or folder \(ENOENT\)/],
    ["a zero-byte file", empty, /only 0 bytes/],
    ["a directory", join(folder, "directory.safetensors"), /it is a folder, not a file \(EISDIR\)/],
    ["a path through a file", join(empty, "x.safetensors"), /a part of the path is a file/],
    ["a name that is too long", join(folder, "x".repeat(300)), /too long/],
    ["a device", "/dev/null", /not a regular file/],
  ];
  it.each(cases)("%s", async (_, path, message) => {
    const error = await openSafetensorsFile(path).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain(path);
  });

  it("a file that shrinks while it is open", async () => {
    const path = join(folder, "shrinking.safetensors");
    await writeSafetensorsFile(path, weights());
    const file = await openSafetensorsFile(path);
    truncateSync(path, 64);
    await expect(file.entries.get("matrix")?.read()).rejects.toThrow(/the file ended at byte/);
    await file.close();
  });

  it("ranges outside of a source", async () => {
    const source = bytesSource(new Uint8Array(10), "ten");
    for (const [offset, length] of [
      [5, 6],
      [-1, 2],
      [0, -1],
      [0.5, 1],
      [0, Number.NaN],
      [2 ** 53, 1],
    ] as const) {
      await expect(source.read(offset, length)).rejects.toThrow(CheckpointError);
    }
    expect(await source.read(10, 0)).toHaveLength(0);
  });
});

describe("writing", () => {
  it("gives the same bytes to a file as in memory, and reports progress to the end", async () => {
    const path = join(folder, "progress.safetensors");
    const progress: string[] = [];
    let written = 0;
    const size = await writeSafetensorsFile(path, weights(), {
      onProgress: ({ name, writtenBytes, totalBytes }) => {
        progress.push(name);
        written = writtenBytes;
        expect(writtenBytes).toBeLessThanOrEqual(totalBytes);
      },
    });
    expect(progress).toEqual(["steps", "matrix", "half"]);
    expect(written).toBe(size);
    expect(Buffer.compare(readFileSync(path), await encodeSafetensors(weights()))).toBe(0);
  });

  it("takes an async producer, and asks for one array after the other", async () => {
    const path = join(folder, "produced.safetensors");
    let alive = 0;
    let most = 0;
    async function* produce(): AsyncGenerator<WritableEntry> {
      for (const entry of weights()) {
        yield {
          ...entry,
          async read() {
            alive++;
            most = Math.max(most, alive);
            await new Promise((resolve) => setImmediate(resolve));
            alive--;
            return entry.read();
          },
        };
      }
    }
    await writeSafetensorsFile(path, produce());
    expect(most).toBe(1);
    expect(Buffer.compare(readFileSync(path), await encodeSafetensors(weights()))).toBe(0);
  });

  it("copies one open file to another", async () => {
    const [a, b] = [join(folder, "copy-a.safetensors"), join(folder, "copy-b.safetensors")];
    await writeSafetensorsFile(a, weights());
    const file = await openSafetensorsFile(a);
    await writeSafetensorsFile(b, file.entries.values());
    // Also onto itself: the open file stays readable until the new one takes its name.
    await writeSafetensorsFile(a, file.entries.values());
    await file.close();
    expect(Buffer.compare(readFileSync(a), readFileSync(b))).toBe(0);
  });

  it("writes views by their own elements", async () => {
    const matrix = Tensor.from([
      [1, 2],
      [3, 4],
    ]);
    const bytes = await encodeSafetensors(
      tensorEntries([
        ["t", matrix.transpose()],
        ["r", matrix.row(1)],
      ]),
    );
    const { entries } = await openSafetensors(bytesSource(bytes));
    expect((await entries.get("t")?.read())?.toNested()).toEqual([
      [1, 3],
      [2, 4],
    ]);
    expect((await entries.get("r")?.read())?.toNested()).toEqual([3, 4]);
  });

  const one = Tensor.from([1]);
  const bad: readonly [string, WritableEntry[], RegExp][] = [
    [
      "two tensors of one name",
      tensorEntries([
        ["a", one],
        ["a", one],
      ]),
      /two tensors have the name "a"/,
    ],
    ["the reserved name", tensorEntries([["__metadata__", one]]), /__metadata__/],
    [
      "another shape than announced",
      [{ name: "a", dtype: "float32", shape: [2], read: () => one }],
      /announced as float32\[2\], but is float32\[1\]/,
    ],
    [
      "another dtype than announced",
      [{ name: "a", dtype: "float64", shape: [1], read: () => one }],
      /announced as float64/,
    ],
    ["a negative shape", [{ name: "a", dtype: "float32", shape: [-1], read: () => one }], /can't write shape/],
  ];
  it.each(bad)("refuses %s and leaves no file", async (_, entries, message) => {
    const path = join(folder, "refused", "x.safetensors");
    mkdirSync(join(folder, "refused"), { recursive: true });
    await expect(encodeSafetensors(entries)).rejects.toThrow(message);
    await expect(writeSafetensorsFile(path, entries)).rejects.toThrow(message);
    expect(readdirSync(join(folder, "refused"))).toEqual([]);
  });

  it("an abort or a failing producer leaves the old file as it was", async () => {
    const target = join(folder, "kept");
    mkdirSync(target);
    const path = join(target, "x.safetensors");
    await writeSafetensorsFile(path, weights());
    const before = readFileSync(path);
    const abort = new AbortController();
    const stop = writeSafetensorsFile(path, weights(), {
      signal: abort.signal,
      onProgress: () => abort.abort(new Error("stopped by the user")),
    });
    await expect(stop).rejects.toThrow("stopped by the user");
    const failing: WritableEntry[] = [
      ...weights(),
      { name: "bad", dtype: "bool", shape: [1], read: () => Promise.reject(new DataError("no more data")) },
    ];
    await expect(writeSafetensorsFile(path, failing)).rejects.toThrow("no more data");
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
    expect(readdirSync(target)).toEqual(["x.safetensors"]);
  });
});
