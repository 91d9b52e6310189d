/** Tar archives: of strangers, and our own. */
import { tarArchive, tarMember } from "@dcae/test-support/tar";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesSource } from "../../src/checkpoint/byte-source.js";
import { encodeTarMember, readTarDirectory, TAR_END } from "../../src/checkpoint/tar-directory.js";
import { DataError } from "../../src/errors.js";

describe("tar archives of strangers", () => {
  const archive = (...members: Uint8Array[]) => bytesSource(tarArchive(...members), "a.tar");

  test("long names of GNU tar and pax headers apply to the next member", async () => {
    const long = `${"folder/".repeat(20)}picture.png`;
    const record = ` path=${long}\n`;
    const pax = `${record.length + 3}${record}`;
    const members = await readTarDirectory(
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
    const original = tarArchive(
      tarMember("a/b.png", "picture"),
      tarMember("a/b.cls", "7"),
      tarMember("c.png", "another"),
    );
    const damage = fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(damage, fc.nat(original.length), async (changes, length) => {
        const bytes = Uint8Array.from(original.subarray(0, length));
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        const members = await readTarDirectory(bytesSource(bytes, "a.tar")).catch((error: unknown) => {
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
    await expect(readTarDirectory(archive(broken))).rejects.toThrow(/a.tar: .*checksum fails \(byte 0\)/);
    await expect(readTarDirectory(archive(tarMember("a.png", "x", "0", 1e6)))).rejects.toThrow(
      /1000000 bytes doesn't fit/,
    );
    await expect(readTarDirectory(bytesSource(whole.slice(0, 700), "a.tar"))).resolves.toHaveLength(1);
    await expect(readTarDirectory(bytesSource(Buffer.concat([whole, whole.slice(0, 100)]), "a.tar"))).rejects.toThrow(
      /cut off/,
    );
    await expect(readTarDirectory(archive(tarMember("a", "9999 path=x\n", "x")))).rejects.toThrow(/damaged record/);
    await expect(readTarDirectory(archive(tarMember("a", "", "S")))).rejects.toThrow(/sparse/);
  });

  test("what is written here is read here, and is the same every time", async () => {
    const content = new Uint8Array(700).fill(7);
    const bytes = Buffer.concat([
      encodeTarMember("a/0.npy", content),
      encodeTarMember("a/0.cls", new Uint8Array(0)),
      TAR_END,
    ]);
    expect(bytes.length).toBe(512 * (1 + 2 + 1 + 2));
    const members = await readTarDirectory(bytesSource(bytes, "a.tar"));
    expect(members).toEqual([
      { name: "a/0.npy", offset: 512, size: 700 },
      { name: "a/0.cls", offset: 2048, size: 0 },
    ]);
    expect(bytes.subarray(512, 1212).equals(content)).toBe(true);
    expect(() => encodeTarMember("a".repeat(101), content)).toThrow(/more than 100 bytes/);
  });
});
