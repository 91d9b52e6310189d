import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { resolveProtocol } from "../../src/protocols/protocol.js";
import { folderSource } from "../../src/sources/folder-source.node.js";
import { generatedSource, readAhead, shardBounds } from "../../src/sources/picture-source.js";
import { writePictures } from "../support/picture-folder.js";

const folder = temporaryFolder();

describe("folderSource", () => {
  it("takes core's list of pictures, with what is left out", async () => {
    const image = formulaImage(4, 4, 0);
    const pictures = { "b/2.png": image, "b/10.png": image, ".cache/3.png": image };
    const root = await writePictures(join(folder, "a"), pictures);
    writeFileSync(join(root, "notes.txt"), "");
    symlinkSync(join(root, "b"), join(root, "linked"));
    symlinkSync(join(root, ".cache"), join(root, "other"));
    const source = await folderSource(root, { protocol: resolveProtocol() });
    const names: string[] = [];
    for await (const { name } of source.read(0)) names.push(name);
    expect(names).toEqual(["b/10.png", "b/2.png", "other/3.png"]);
    expect(Object.fromEntries(source.leftOut!)).toEqual({
      hidden: 1,
      ".txt": 1,
      "links to folders listed already": 1,
    });
  });

  it("crops as the protocol says, from any position, with a fingerprint of its files", async () => {
    const pictures = Object.fromEntries([0, 1, 2, 3].map((i) => [`${i}.png`, formulaImage(20 + i, 30, i)]));
    const root = await writePictures(join(folder, "crop"), pictures);
    const source = await folderSource(root, { protocol: resolveProtocol({ size: [10, 8] }) });
    const sizes: string[] = [];
    for await (const { name, image } of source.read(1)) sizes.push(`${name} ${image?.width}x${image?.height}`);
    expect(sizes).toEqual(["1.png 8x10", "2.png 8x10", "3.png 8x10"]);
    const same = await folderSource(root, { protocol: resolveProtocol() });
    expect(same.fingerprint).toBe(source.fingerprint);
    const fewer = await folderSource(root, { protocol: resolveProtocol(), limit: 3 });
    expect([fewer.count, fewer.fingerprint === source.fingerprint]).toEqual([3, false]);
    const shard = await folderSource(root, { protocol: resolveProtocol(), shard: { index: 1, of: 3 } });
    for await (const { name, image } of shard.read(0)) expect([name, image?.width]).toEqual(["1.png", 21]);
  });
});

describe("shardBounds", () => {
  it("cuts any number into parts that touch and differ by at most one", () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.integer({ min: 1, max: 50 }), (count, of) => {
        const parts = Array.from({ length: of }, (_, index) => shardBounds(count, { index, of }));
        expect(parts[0]?.[0]).toBe(0);
        expect(parts.at(-1)?.[1]).toBe(count);
        parts.forEach(([start, end], i) => {
          expect(start).toBe(parts[i - 1]?.[1] ?? 0);
          expect(Math.abs(end - start - count / of)).toBeLessThan(1);
        });
      }),
      { seed: 3 },
    );
  });

  it("refuses shards that don't exist", () => {
    expect(() => shardBounds(10, { index: 3, of: 3 })).toThrow(/shard: 3 of 3 doesn't exist/);
    expect(() => shardBounds(10, { index: 0.5, of: 3 })).toThrow(/doesn't exist/);
  });
});

describe("readAhead", () => {
  it("keeps the order and never starts more than it may", async () => {
    let running = 0;
    let most = 0;
    const read = async (index: number) => {
      running++;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, (index * 7) % 5));
      running--;
      return index;
    };
    const seen: number[] = [];
    for await (const index of readAhead(3, 20, 4, read)) seen.push(index);
    expect(seen).toEqual(Array.from({ length: 17 }, (_, i) => i + 3));
    expect(most).toBe(4);
  });
});

describe("generatedSource", () => {
  it("ends at its count, whatever the generator gives", async () => {
    const generate = async function* (start: number) {
      for (let i = start; ; i += 3) yield [0, 1, 2].map((k) => formulaImage(2, 2, i + k));
    };
    const source = generatedSource({ name: "sampler", count: 7, fingerprint: "seed 1", generate });
    const names: string[] = [];
    for await (const { name, image } of source.read(2)) {
      names.push(name);
      expect(image).toEqual(formulaImage(2, 2, Number(name)));
    }
    expect(names).toEqual(["2", "3", "4", "5", "6"]);
  });
});
