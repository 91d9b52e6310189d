/** Tar and zip shards against the reference's list of samples and its hashes. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inflateRawSync } from "node:zlib";
import { DataError } from "@dcae/core";
import { describe, expect, test } from "vitest";
import { makePicture } from "../../src/data/picture-recipe.js";
import { readShard, type ShardMember, shardSource } from "../../src/data/shard-source.js";

const GOLDEN = fileURLToPath(new URL("../golden/training/", import.meta.url));
const expected = JSON.parse(await readFile(`${GOLDEN}shard_sample.json`, "utf8")) as {
  samples: { key: string; extensions: string[]; sha256: Record<string, string> }[];
  images: Record<string, { h: number; w: number; formula_seed: number }>;
  meta: unknown;
};
const VIEW = { size: 8, corner: null, flip: false };

function contentOf(archive: Buffer, { offset, storedSize, compression }: ShardMember): Uint8Array {
  const stored = archive.subarray(offset, offset + storedSize);
  return compression === "none" ? stored : inflateRawSync(stored);
}

describe.each(["tar", "zip"])("%s", (format) => {
  const path = `${GOLDEN}shard_sample.${format}`;

  test("samples, their order and every byte of their members", async () => {
    const { samples } = await readShard(path);
    // The reference's keys end at the last dot, these at the first: the names and what belongs together are the same.
    expect(samples.map(({ members }) => [...members.values()].map(({ name }) => name))).toEqual(
      expected.samples.map(({ key, extensions }) => extensions.map((extension) => `${key}${extension}`)),
    );
    const archive = await readFile(path);
    for (const [i, { key, members }] of samples.entries()) {
      for (const [extension, member] of members) {
        expect(member.name).toBe(`${key}${extension}`);
        const content = contentOf(archive, member);
        expect(content.byteLength).toBe(member.size);
        const ending = member.name.slice(member.name.lastIndexOf("."));
        expect(createHash("sha256").update(content).digest("hex")).toBe(expected.samples[i]!.sha256[ending]);
      }
    }
  });

  test("pictures come out by number", async () => {
    const source = await shardSource(path);
    expect(source.count).toBe(expected.samples.length);
    for (const [i, { key }] of expected.samples.entries()) {
      const recipe = await source.recipe(i);
      expect(recipe.kind === "member" && recipe.name).toBe(`${key}.png`);
      expect((await makePicture(recipe, VIEW)).data).toHaveLength(8 * 8 * 3);
    }
  });
});

test("an index lists shards, which are opened when they are needed", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dcae-shards-"));
  try {
    const index = join(folder, "index.json");
    const count = expected.samples.length;
    const list = (url: string, nsamples = count) =>
      writeFile(index, JSON.stringify({ wids_version: 1, shardlist: [{ url, nsamples }] }));
    await writeFile(join(folder, "shard_sample.tar"), await readFile(`${GOLDEN}shard_sample.tar`));
    await writeFile(index, JSON.stringify(expected.meta));
    const source = await shardSource(index);
    expect(source.count).toBe(count);
    expect(await source.recipe(count - 1)).toMatchObject({ name: `${expected.samples.at(-1)!.key}.png` });
    await list("absent.tar");
    await expect((await shardSource(index)).recipe(0)).rejects.toThrow(/absent.tar: can't read/);
    await list("shard_sample.tar", count + 3);
    const difference = `has ${count} samples, the index says ${count + 3}`;
    await expect((await shardSource(index)).recipe(0)).rejects.toThrow(difference);
    for (const wrong of [2 ** 53, 1.5, -1, "4" as unknown as number]) {
      await list("shard_sample.tar", wrong);
      await expect(shardSource(index)).rejects.toThrow(DataError);
    }
    const many = { url: "shard_sample.tar", nsamples: Number.MAX_SAFE_INTEGER };
    await writeFile(index, JSON.stringify({ wids_version: 1, shardlist: [many, many] }));
    await expect(shardSource(index)).rejects.toThrow(/more than can be numbered/);
    await list("../shard_sample.tar");
    await expect(shardSource(index)).rejects.toThrow(/isn't a file beside the index/);
    await list("https://example.org/shard.tar");
    await expect(shardSource(index)).rejects.toThrow(/isn't a file beside the index/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
