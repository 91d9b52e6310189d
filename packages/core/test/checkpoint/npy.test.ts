import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeNpy, encodeNpy, encodeNpyHeader, parseNpyHeader } from "../../src/checkpoint/npy/npy.js";
import { readNpyFile, writeNpyFile } from "../../src/checkpoint/npy/npy-file.node.js";
import { tensorFromBytes } from "../../src/checkpoint/weights.js";
import { DataError } from "../../src/errors.js";
import { byteSize, DTYPES, type DType } from "../../src/graph/dtype.js";
import { sizeOf, Tensor } from "../../src/graph/tensor.js";

const folder = temporaryFolder();
const withoutNumpy: readonly DType[] = ["bfloat16", "float8_e4m3fn", "float8_e5m2"];
const withNumpy = DTYPES.filter((dtype) => !withoutNumpy.includes(dtype));

/** A version 1.0 file with any header text. */
function raw(dict: string, data: number | Uint8Array = 0, claimed = dict.length): Uint8Array {
  const body = typeof data === "number" ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(10 + dict.length + body.length);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, claimed & 255, claimed >> 8]);
  bytes.set(new TextEncoder().encode(dict), 10);
  bytes.set(body, 10 + dict.length);
  return bytes;
}
const dict = (descr: string, shape: string, fortran = "False") =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;

describe("header", () => {
  it.each(["(2,)", "(2, )", "( 2 , )", "(1,2)", "(1, 2,)", "()", "( )"])("reads the shape %s", (shape) => {
    const expected = shape.match(/\d+/g)?.map(Number) ?? [];
    const header = dict("|u1", shape);
    expect(parseNpyHeader(raw(header, 2), "x").shape).toEqual(expected);
  });

  it("takes keys in any order, without the last comma, with other spacing", () => {
    for (const text of [
      "{'shape': (2,), 'fortran_order': False, 'descr': '<f4'}",
      "{ 'fortran_order' :True,'descr':'<f4','shape':(2,),}\n",
      "  {'descr': '<f4', 'fortran_order': False, 'shape': (2,), }    \n",
    ]) {
      expect(parseNpyHeader(raw(text), "x")).toMatchObject({ dtype: "float32", shape: [2] });
    }
  });

  it("takes the spellings of one-byte types", () => {
    for (const [descr, dtype] of [
      ["|u1", "uint8"],
      ["<u1", "uint8"],
      ["=i1", "int8"],
      ["|b1", "bool"],
      ["<b1", "bool"],
    ] as const) {
      expect(parseNpyHeader(raw(dict(descr, "()")), "x").dtype).toBe(dtype);
    }
  });

  it("is aligned to 64 bytes, with room for long shapes", () => {
    fc.assert(
      fc.property(fc.constantFrom(...withNumpy), fc.array(fc.nat(2 ** 20), { maxLength: 70 }), (dtype, shape) => {
        const header = encodeNpyHeader(dtype, shape);
        expect(header.length % 64).toBe(0);
        expect(header.at(-1)).toBe(10);
        fc.pre(Number.isSafeInteger(sizeOf(shape) * 8));
        expect(parseNpyHeader(header, "x")).toEqual({ dtype, shape, fortranOrder: false, dataOffset: header.length });
      }),
      { seed: 3, numRuns: 200 },
    );
  });

  it("uses version 2.0 for a header above 64 KiB", () => {
    const header = encodeNpyHeader("uint8", Array(30_000).fill(1));
    expect(header[6]).toBe(2);
    expect(new DataView(header.buffer).getUint32(8, true)).toBe(header.length - 12);
  });

  it.each(withoutNumpy)("refuses to write %s, which NumPy doesn't have", (dtype) => {
    expect(() => encodeNpy(Tensor.zeros([2], dtype))).toThrow(/can't hold/);
  });
});

describe("refuses", () => {
  const good = dict("<f4", "(2,)");
  it.each<[string, Uint8Array, RegExp]>([
    ["an empty file", new Uint8Array(0), /not a .npy file/],
    ["another format", new TextEncoder().encode("PK\u0003\u0004 and some more bytes"), /not a .npy file/],
    ["only the magic bytes", raw(good).subarray(0, 9), /not a .npy file/],
    ["version 4.0", raw(good, 8).map((byte, i) => (i === 6 ? 4 : byte)), /version 4.0/],
    ["version 1.1", raw(good, 8).map((byte, i) => (i === 7 ? 1 : byte)), /version 1.1/],
    ["version 0.0", raw(good, 8).map((byte, i) => (i === 6 ? 0 : byte)), /version 0.0/],
    ["a header longer than the file", raw(good, 0, 5000), /claims 5000 bytes/],
    [
      "a version 2 header of 4 GB",
      raw(good, 8).map((byte, i) => (i === 6 ? 2 : i >= 8 && i < 12 ? 255 : byte)),
      /claims 4294967295/,
    ],
    ["no dict", raw("hello"), /isn't a dict/],
    ["an empty dict", raw("{}"), /lacks/],
    ["code instead of values", raw("{'descr': __import__('os'), 'fortran_order': False, 'shape': (2,)}"), /malformed/],
    ["an expression as shape", raw(dict("<f4", "(2**30,)"), 8), /malformed/],
    ["a number as shape", raw(dict("<f4", "2"), 8), /malformed/],
    ["a parenthesized number as shape", raw(dict("<f4", "(2)"), 8), /malformed/],
    ["two commas", raw(dict("<f4", "(2,,)"), 8), /malformed/],
    ["a leading comma", raw(dict("<f4", "(,2)"), 8), /malformed/],
    ["a negative dimension", raw(dict("<f4", "(-2,)"), 8), /malformed/],
    ["a dimension above 2^53", raw(dict("<f4", "(99999999999999999999,)"), 8), /too large/],
    ["a product above 2^53", raw(dict("<f4", "(4294967296, 4294967296)"), 8), /too large/],
    ["1 as fortran_order", raw(dict("<f4", "(2,)", "1"), 8), /malformed/],
    ["a key twice", raw("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}"), /malformed/],
    ["an unknown key", raw("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': True}"), /malformed/],
    ["a missing key", raw("{'descr': '<f4', 'shape': (2,)}"), /lacks/],
    ["an unknown dtype", raw(dict("<c8", "(2,)"), 16), /"<c8" isn't supported/],
    ["text", raw(dict("<U5", "(2,)"), 40), /isn't supported/],
    ["big-endian", raw(dict(">i4", "(2,)"), 8), /big-endian/],
    ["objects", raw(dict("|O", "(2,)"), 8), /pickles/],
    ["too little data", raw(good, 7), /has 8 bytes, got 7/],
    ["too much data", raw(good, 9), /has 8 bytes, got 9/],
  ])("%s", (_, bytes, message) => {
    expect(() => decodeNpy(bytes, "file.npy")).toThrow(DataError);
    expect(() => decodeNpy(bytes, "file.npy")).toThrow(message);
    expect(() => decodeNpy(bytes, "file.npy")).toThrow(/^file\.npy: /);
  });

  it("files that can't be read or written, as DataErrors", async () => {
    mkdirSync(join(folder, "directory.npy"));
    writeFileSync(join(folder, "zero.npy"), "");
    await expect(readNpyFile(join(folder, "missing.npy"))).rejects.toThrow(DataError);
    await expect(readNpyFile(join(folder, "directory.npy"))).rejects.toThrow(/it is a folder/);
    await expect(readNpyFile(join(folder, "zero.npy"))).rejects.toThrow(/not a .npy file/);
    await expect(writeNpyFile(join(folder, "directory.npy"), Tensor.from([1]))).rejects.toThrow(/it is a folder/);
    await expect(writeNpyFile(join(folder, "new.npy"), Tensor.zeros([1], "bfloat16"))).rejects.toThrow(/can't hold/);
    expect(readdirSync(folder).sort()).toEqual(["directory.npy", "zero.npy"]);
  });
});

describe("properties", () => {
  it("what is written is read back bit by bit, wherever it starts in memory", () => {
    const tensors = fc
      .record({ dtype: fc.constantFrom(...withNumpy), shape: fc.array(fc.nat(4), { maxLength: 5 }) })
      .chain(({ dtype, shape }) => {
        const length = sizeOf(shape) * byteSize(dtype);
        return fc
          .uint8Array({ minLength: length, maxLength: length })
          .map((bytes) => tensorFromBytes(dtype, shape, bytes) as Tensor);
      });
    fc.assert(
      fc.property(tensors, fc.boolean(), fc.nat(7), (tensor, transposed, shift) => {
        const source = transposed ? tensor.transpose() : tensor;
        const bytes = encodeNpy(source);
        const moved = new Uint8Array(bytes.length + shift);
        moved.set(bytes, shift);
        const back = decodeNpy(moved.subarray(shift));
        expect([back.dtype, back.shape]).toEqual([source.dtype, source.shape]);
        expect(back.bytes).toEqual(source.bytes);
      }),
      { seed: 31, numRuns: 300 },
    );
  });

  it("whatever the bytes are, the only failure is a DataError of one line", () => {
    const valid = encodeNpy(Tensor.from([[1, 2, 3]]));
    const inputs = fc.oneof(
      fc.uint8Array({ maxLength: 150 }),
      fc.string().map((text) => raw(text)),
      fc.tuple(fc.string(), fc.string(), fc.nat(40)).map(([descr, shape, data]) => raw(dict(descr, shape), data)),
      fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }).map((edits) => {
        const bytes = valid.slice();
        for (const [position, byte] of edits) bytes[position] = byte;
        return bytes;
      }),
      fc.nat(valid.length).map((length) => valid.subarray(0, length)),
    );
    fc.assert(
      fc.property(inputs, (bytes) => {
        try {
          expect(decodeNpy(bytes).byteLength).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          expect(error.message).not.toMatch(/[\n\r]/);
        }
      }),
      { seed: 32, numRuns: 3000 },
    );
  });
});
