import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  openShardedFile,
  writeSafetensorsFile,
  writeShardedFiles,
} from "../../src/checkpoint/safetensors/file.node.js";
import { parseShardIndex, planShards } from "../../src/checkpoint/safetensors/shards.js";
import { tensorEntries, type WritableEntry } from "../../src/checkpoint/safetensors/writer.js";
import { CheckpointError, ConfigError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";
import { errorOf } from "../support/error-of.js";

const root = temporaryFolder();
/** Four arrays of 40 bytes each. */
const weights = (): WritableEntry[] =>
  tensorEntries(["a", "b", "c", "d"].map((name, i) => [name, Tensor.full([10], i)]));
const encode = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
let count = 0;
const newFolder = () => join(root, `case-${count++}`);

async function written(maxShardBytes: number): Promise<{ folder: string; files: string[] }> {
  const folder = newFolder();
  mkdirSync(folder);
  return { folder, files: await writeShardedFiles(folder, weights(), { maxShardBytes }) };
}

describe("parseShardIndex of strangers", () => {
  it.each([
    ["an object whose toString isn't a function", '{"weight_map":{"a":{"toString":[]}}}', /"a" is mapped to an object/],
    ["a list", '{"weight_map":{"a":[["b"]]}}', /"a" is mapped to a list/],
    ["a number", '{"weight_map":{"a":3}}', /"a" is mapped to 3/],
    [
      "a key that means a prototype elsewhere",
      '{"weight_map":{"__proto__":{"toString":1}}}',
      /"__proto__" is mapped to an object/,
    ],
    [
      "deep nesting",
      `{"weight_map":{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`,
      /nested deeper than 100 levels/,
    ],
  ])("%s", (_, json, message) => {
    const error = errorOf(CheckpointError, () => parseShardIndex(encode(json), "index.json"));
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("\n");
  });
});

describe("planShards", () => {
  const names = (max: number) =>
    planShards(weights(), "model", max).shards.map(({ entries }) => entries.map((e) => e.name).join(""));

  it("fills shards in order, up to the limit", () => {
    expect(names(160)).toEqual(["abcd"]);
    expect(names(159)).toEqual(["abc", "d"]);
    expect(names(80)).toEqual(["ab", "cd"]);
    expect(names(79)).toEqual(["a", "b", "c", "d"]);
    expect(names(1)).toEqual(["a", "b", "c", "d"]);
  });

  it("names files as huggingface_hub does, and one file without an index", () => {
    const { shards, index } = planShards(weights(), "diffusion_pytorch_model", 80);
    expect(shards.map(({ fileName }) => fileName)).toEqual([
      "diffusion_pytorch_model-00001-of-00002.safetensors",
      "diffusion_pytorch_model-00002-of-00002.safetensors",
    ]);
    expect(index?.fileName).toBe("diffusion_pytorch_model.safetensors.index.json");
    expect(JSON.parse(index?.text ?? "")).toEqual({
      metadata: { total_size: 160 },
      weight_map: {
        a: "diffusion_pytorch_model-00001-of-00002.safetensors",
        b: "diffusion_pytorch_model-00001-of-00002.safetensors",
        c: "diffusion_pytorch_model-00002-of-00002.safetensors",
        d: "diffusion_pytorch_model-00002-of-00002.safetensors",
      },
    });
    const single = planShards(weights(), "model");
    expect([single.index, single.shards.map(({ fileName }) => fileName)]).toEqual([undefined, ["model.safetensors"]]);
    expect(planShards([], "model").shards).toEqual([{ fileName: "model.safetensors", entries: [] }]);
  });

  it("refuses equal names across shards and senseless limits", () => {
    expect(() => planShards([...weights(), ...weights()], "model", 40)).toThrow(/two tensors have the name "a"/);
    expect(() => planShards(weights(), "model", 0)).toThrow(ConfigError);
    expect(() => planShards(weights(), "model", Number.NaN)).toThrow(ConfigError);
  });
});

describe("files", () => {
  it("round trip, with places in their shard files and progress to the end", async () => {
    const { folder, files } = await written(80);
    expect(files).toEqual([
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "model.safetensors.index.json",
    ]);
    expect(readdirSync(folder).sort()).toEqual(files);
    const opened = await openShardedFile(join(folder, "model.safetensors.index.json"));
    expect([...opened.entries.keys()]).toEqual(["a", "b", "c", "d"]);
    for (const entry of weights()) {
      expect((await opened.entries.get(entry.name)?.read())?.data).toEqual((await entry.read()).data);
    }
    expect(opened.entries.get("d")?.location?.path).toBe(join(folder, "model-00002-of-00002.safetensors"));
    const progress: number[] = [];
    let total = 0;
    await writeShardedFiles(folder, opened.entries.values(), {
      maxShardBytes: 40,
      onProgress: ({ writtenBytes, totalBytes }) => {
        progress.push(writtenBytes);
        total = totalBytes;
      },
    });
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(progress.at(-1)).toBe(total);
    await opened.close();
    await expect(opened.entries.get("a")?.read()).rejects.toThrow(/after close/);
  });

  it("a missing shard, a tensor in another shard, a tensor the index doesn't know", async () => {
    const { folder } = await written(80);
    const index = join(folder, "model.safetensors.index.json");
    const shard = join(folder, "model-00002-of-00002.safetensors");
    await writeSafetensorsFile(
      shard,
      tensorEntries([
        ["c", Tensor.full([10], 2)],
        ["a", Tensor.full([10], 0)],
      ]),
    );
    const error = await openShardedFile(index).catch((reason: unknown) => reason as CheckpointError);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toContain('missing: "d" in model-00002-of-00002.safetensors');
    expect((error as Error).message).toContain('not in the index: "a" in model-00002-of-00002.safetensors');
    rmSync(shard);
    await expect(openShardedFile(index)).rejects.toThrow(/model-00002-of-00002\.safetensors: can't read: no such file/);
    writeFileSync(shard, "");
    await expect(openShardedFile(index)).rejects.toThrow(/only 0 bytes/);
  });

  it("an index that is no index", async () => {
    const path = join(root, "bad.safetensors.index.json");
    for (const [text, message] of [
      ["", /isn't valid JSON/],
      ["[]", /weight_map/],
      ["{}", /weight_map/],
      ['{"weight_map":{}}', /lists no tensors/],
      ['{"weight_map":{"a":1}}', /isn't a .safetensors file name/],
      ['{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}', /the key "a" twice/],
    ] as const) {
      writeFileSync(path, text);
      await expect(openShardedFile(path), text).rejects.toThrow(message);
    }
  });
});

describe("shard names never lead out of the folder", () => {
  it.each([
    "../x.safetensors",
    "/etc/x.safetensors",
    "sub/x.safetensors",
    "sub\\x.safetensors",
    "..\\x.safetensors",
    "C:x.safetensors",
    "file:x.safetensors",
    ".hidden.safetensors",
    "..safetensors",
    "x.safetensors\u0000.safetensors",
    "x\n.safetensors",
    "x.bin",
    "x.safetensors/",
    `${"x".repeat(300)}.safetensors`,
    "",
    null,
    {},
  ])("%j", (name) => {
    const json = encode({ weight_map: { a: name } });
    expect(() => parseShardIndex(json, "index.json")).toThrow(CheckpointError);
  });

  it("arbitrary names", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((s) => `${s}.safetensors`),
          fc.webPath(),
        ),
        (name) => {
          let shards: readonly string[] = [];
          try {
            ({ shards } = parseShardIndex(encode({ weight_map: { a: name } }), "index.json"));
          } catch (error) {
            expect(error).toBeInstanceOf(CheckpointError);
          }
          for (const shard of shards) expect(join("/base", shard)).toBe(`/base/${shard}`);
          for (const shard of shards) expect(shard).not.toMatch(/[/\\:\0]/);
        },
      ),
      { seed: 5, numRuns: 2000 },
    );
  });
});

it("fuzzed indices are read or refused with a CheckpointError", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        fc.json().map(encode),
        fc.record({ metadata: fc.jsonValue(), weight_map: fc.jsonValue() }).map(encode),
      ),
      (json) => {
        try {
          expect(parseShardIndex(json, "index.json").weightMap.size).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      },
    ),
    { seed: 6, numRuns: 1000 },
  );
});

it("reads the total size where it is a number", () => {
  const weight_map = { a: "x.safetensors" };
  expect(parseShardIndex(encode({ metadata: { total_size: 7 }, weight_map }), "i").totalSize).toBe(7);
  expect(parseShardIndex(encode({ metadata: { total_size: "7" }, weight_map }), "i").totalSize).toBeUndefined();
  expect(parseShardIndex(encode({ weight_map }), "i").totalSize).toBeUndefined();
});

it("the index ends with a line break, as other tools write it", async () => {
  const { folder } = await written(80);
  expect(readFileSync(join(folder, "model.safetensors.index.json"), "utf8")).toMatch(/\}\n$/);
});
