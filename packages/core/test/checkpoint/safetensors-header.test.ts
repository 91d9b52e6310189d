import { describe, expect, it } from "vitest";
import { type ByteSource, bytesSource } from "../../src/checkpoint/byte-source.js";
import { parseSafetensorsHeader, readSafetensorsHeader } from "../../src/checkpoint/safetensors/reader.js";
import { CheckpointError, type DcaeError } from "../../src/errors.js";
import { openBytes, rawSafetensors } from "../support/raw-safetensors.js";

const f32 = (shape: readonly unknown[], begin: unknown, end: unknown) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

describe("a valid header", () => {
  it("gives tensors in the order of their data, with positions in the file", async () => {
    const json = { b: f32([2], 4, 12), __metadata__: { format: "pt", note: "x" }, a: f32([], 0, 4) };
    const header = await readSafetensorsHeader(bytesSource(rawSafetensors(json, 12)));
    const start = 8 + JSON.stringify(json).length;
    expect(header.tensors).toEqual([
      { name: "a", dtype: "float32", shape: [], offset: start, byteLength: 4 },
      { name: "b", dtype: "float32", shape: [2], offset: start + 4, byteLength: 8 },
    ]);
    expect([...header.metadata]).toEqual([
      ["format", "pt"],
      ["note", "x"],
    ]);
  });

  it("takes null for metadata as none, as the reference implementation does", async () => {
    const header = await readSafetensorsHeader(
      bytesSource(rawSafetensors({ __metadata__: null, a: f32([], 0, 4) }, 4)),
    );
    expect([header.metadata.size, header.tensors.length]).toEqual([0, 1]);
  });

  it("may be empty, padded, or hold tensors without elements anywhere between others", async () => {
    expect((await openBytes(rawSafetensors("{}"))).entries.size).toBe(0);
    expect((await openBytes(rawSafetensors("{}   \n"))).entries.size).toBe(0);
    const json = {
      e1: f32([0], 0, 0),
      a: f32([1], 0, 4),
      e2: f32([3, 0], 4, 4),
      b: f32([1], 4, 8),
      e3: f32([0], 8, 8),
    };
    expect((await openBytes(rawSafetensors(json, 8))).entries.size).toBe(5);
  });

  it("takes any name, also those of Object.prototype", async () => {
    const text = `{"__proto__":${JSON.stringify(f32([1], 0, 4))},"constructor":${JSON.stringify(f32([1], 4, 8))}}`;
    const { entries } = await openBytes(rawSafetensors(text, 8));
    expect([...entries.keys()]).toEqual(["__proto__", "constructor"]);
  });
});

describe("refuses, naming file and tensor", () => {
  const huge = 2 ** 53 - 1;
  const cases: readonly [string, Uint8Array, RegExp][] = [
    ["an empty file", new Uint8Array(0), /only 0 bytes/],
    ["a file shorter than the length field", new Uint8Array(7), /only 7 bytes/],
    ["a header length of 2^64 - 1", rawSafetensors("{}", 0, 2n ** 64n - 1n), /18446744073709551615 bytes, the limit/],
    ["a header length just above the limit", rawSafetensors("{}", 0, 100_000_001n), /limit is 100000000/],
    ["a header longer than the file", rawSafetensors("{}", 5, 8n), /claims 8 bytes, but only 7 follow/],
    ["an empty header", rawSafetensors("", 8), /isn't a JSON object/],
    ["a header that is no object", rawSafetensors("[]"), /isn't a JSON object/],
    ["leading space", rawSafetensors(" {}"), /isn't a JSON object/],
    ["broken JSON", rawSafetensors('{"a":'), /header isn't valid JSON/],
    ["two JSON values", rawSafetensors("{}{}"), /isn't valid JSON/],
    ["text that isn't UTF-8", rawSafetensors("{}", 0).map((byte, i) => (i === 9 ? 0xff : byte)), /isn't UTF-8/],
    [
      "the same tensor twice",
      rawSafetensors(`{"a":${JSON.stringify(f32([1], 0, 4))},"\\u0061":${JSON.stringify(f32([1], 0, 4))}}`, 4),
      /key "a" twice/,
    ],
    [
      "a field twice",
      rawSafetensors('{"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4),
      /"dtype" twice/,
    ],
    ["metadata that is a list", rawSafetensors({ __metadata__: [] }), /__metadata__/],
    ["metadata with a number", rawSafetensors({ __metadata__: { a: 1 } }), /text values/],
    ["a description that is no object", rawSafetensors({ a: 5 }), /tensor "a": its description/],
    ["null as description", rawSafetensors({ a: null }), /tensor "a"/],
    ["an unknown field", rawSafetensors({ a: { ...f32([1], 0, 4), extra: 1 } }, 4), /unknown field "extra"/],
    ["a missing dtype", rawSafetensors({ a: { shape: [1], data_offsets: [0, 4] } }, 4), /"dtype" must be/],
    ["an unknown dtype", rawSafetensors({ a: { ...f32([1], 0, 4), dtype: "F4" } }, 4), /dtype "F4" isn't supported/],
    ["a dtype in lower case", rawSafetensors({ a: { ...f32([1], 0, 4), dtype: "f32" } }, 4), /"f32"/],
    ["a missing shape", rawSafetensors({ a: { dtype: "F32", data_offsets: [0, 4] } }, 4), /"shape" must be/],
    ["a negative dimension", rawSafetensors({ a: f32([-1], 0, 4) }, 4), /"shape" must be/],
    ["two negative dimensions", rawSafetensors({ a: f32([-1, -1], 0, 4) }, 4), /"shape" must be/],
    ["a fractional dimension", rawSafetensors({ a: f32([0.5, 2], 0, 4) }, 4), /"shape" must be/],
    [
      "a dimension above 2^53",
      rawSafetensors('{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}', 4),
      /"shape"/,
    ],
    ["a text as dimension", rawSafetensors({ a: f32(["1"], 0, 4) }, 4), /"shape" must be/],
    ["65 dimensions", rawSafetensors({ a: f32(Array(65).fill(1), 0, 4) }, 4), /65 dimensions/],
    ["a product above 2^53", rawSafetensors({ a: f32([2 ** 30, 2 ** 30], 0, 4) }, 4), /too large/],
    ["a product above 2^53 that a zero would hide", rawSafetensors({ a: f32([huge, huge, 0], 0, 0) }), /too large/],
    ["one offset", rawSafetensors({ a: { ...f32([1], 0, 4), data_offsets: [0] } }, 4), /"data_offsets"/],
    ["three offsets", rawSafetensors({ a: { ...f32([1], 0, 4), data_offsets: [0, 4, 8] } }, 4), /"data_offsets"/],
    ["a negative offset", rawSafetensors({ a: f32([1], -4, 0) }, 4), /"data_offsets"/],
    ["an end before its begin", rawSafetensors({ a: f32([1], 4, 0) }, 4), /begin at 4 and end before that/],
    ["an end outside of the file", rawSafetensors({ a: f32([1], 0, 4) }, 3), /end at byte 4 of 3/],
    ["an end far outside of the file", rawSafetensors({ a: f32([2 ** 40], 0, 2 ** 42) }, 3), /of 3/],
    [
      "a shape that needs more bytes",
      rawSafetensors({ a: f32([2], 0, 4) }, 4),
      /\[2\] of F32 needs 8 bytes, but it has 4/,
    ],
    ["a shape that needs fewer bytes", rawSafetensors({ a: f32([], 0, 8) }, 8), /needs 4 bytes, but it has 8/],
    ["an overlap", rawSafetensors({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12), /tensor "b" overlaps "a"/],
    ["the same bytes twice", rawSafetensors({ a: f32([2], 0, 8), b: f32([2], 0, 8) }, 8), /overlaps/],
    [
      "a hole",
      rawSafetensors({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12),
      /4 unused bytes between "a" and tensor "b"/,
    ],
    ["a hole at the start", rawSafetensors({ a: f32([1], 4, 8) }, 8), /4 unused bytes between the start/],
    ["bytes after the last tensor", rawSafetensors({ a: f32([1], 0, 4) }, 9), /5 bytes after the last tensor/],
    ["data without tensors", rawSafetensors("{}", 1), /1 bytes after the last tensor/],
  ];

  it.each(cases)("%s", async (_, bytes, message) => {
    const error = await openBytes(bytes).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain("test.safetensors");
    expect((error as Error).message).not.toContain("\n");
  });

  it("names with line breaks, cut to a readable length", async () => {
    const error = (await openBytes(rawSafetensors({ [`a\n${"b".repeat(10_000)}`]: 5 })).catch(
      (reason: unknown) => reason,
    )) as DcaeError;
    expect(error.message).not.toContain("\n");
    expect(error.message.length).toBeLessThan(300);
  });
});

it("reads no more than the length field of a file that isn't safetensors", async () => {
  // As a 50 GB pickle would look: nothing may be read or allocated for the claimed header.
  const reads: number[] = [];
  const source: ByteSource = {
    name: "big.bin",
    size: 50e9,
    async read(_, length) {
      reads.push(length);
      return new Uint8Array(length).fill(0x50);
    },
    async close() {},
  };
  await expect(readSafetensorsHeader(source)).rejects.toThrow(/isn't|limit/);
  expect(reads).toEqual([8]);
});

it("survives deeply nested JSON", () => {
  const text = `{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
  expect(() => parseSafetensorsHeader(new TextEncoder().encode(text), "deep", 1e6)).toThrow(CheckpointError);
  const open = `{"a":${"[".repeat(1_000_000)}`;
  expect(() => parseSafetensorsHeader(new TextEncoder().encode(open), "deep", 1e7)).toThrow(CheckpointError);
});
