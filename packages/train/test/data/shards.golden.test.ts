/** Tar and zip shards against the reference's list of samples and its hashes. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inflateRawSync } from "node:zlib";
import { DataError } from "@dcae/core";
import { bytesSource } from "@dcae/core/checkpoint";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makePicture } from "../../src/data/picture-recipe.js";
import { readShard, type ShardMember, shardSource } from "../../src/data/shard-source.js";
import { readTar } from "../../src/data/tar-reader.js";
import { tarArchive, tarMember } from "../support/tar.js";

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

describe("tar archives of strangers", () => {
  const archive = (...members: Uint8Array[]) => bytesSource(tarArchive(...members), "a.tar");

  test("long names of GNU tar and pax headers apply to the next member", async () => {
    const long = `${"folder/".repeat(20)}picture.png`;
    const record = ` path=${long}\n`;
    const pax = `${record.length + 3}${record}`;
    const members = await readTar(
      archive(
        tarMember("././@LongLink", `${long}\0`, "L"),
        tarMember("cut.png", "one"),
        tarMember("PaxHeader", pax, "x"),
        tarMember("cut.png", "two"),
        tarMember("plain.png", "three"),
        tarMember("folder/", "", "5"),
      ),
    );
    expect(members.map(({ name, size }) => [name, size])).toEqual([
      [long, 3],
      [long, 3],
      ["plain.png", 5],
    ]);
  });

  test("any damage ends in an error of this project or in a list within the file", async () => {
    const original = await readFile(`${GOLDEN}shard_sample.tar`);
    const damage = fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(damage, fc.nat(original.length), async (changes, length) => {
        const bytes = Uint8Array.from(original.subarray(0, length));
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        const members = await readTar(bytesSource(bytes, "a.tar")).catch((error: unknown) => {
          expect(error).toBeInstanceOf(DataError);
          return [];
        });
        for (const { offset, size } of members) expect(offset + size).toBeLessThanOrEqual(length);
      }),
      { seed: 5, numRuns: 200 },
    );
  });

  test("what is damaged is refused by name", async () => {
    const whole = tarMember("a.png", "content");
    const broken = whole.slice();
    broken[0] = 0x62;
    await expect(readTar(archive(broken))).rejects.toThrow(/a.tar: .*checksum fails \(byte 0\)/);
    await expect(readTar(archive(tarMember("a.png", "x", "0", 1e6)))).rejects.toThrow(/1000000 bytes doesn't fit/);
    await expect(readTar(bytesSource(whole.slice(0, 700), "a.tar"))).resolves.toHaveLength(1);
    await expect(readTar(bytesSource(Buffer.concat([whole, whole.slice(0, 100)]), "a.tar"))).rejects.toThrow(/cut off/);
    await expect(readTar(archive(tarMember("a", "9999 path=x\n", "x")))).rejects.toThrow(/damaged record/);
    await expect(readTar(archive(tarMember("a", "", "S")))).rejects.toThrow(/sparse/);
  });
});
