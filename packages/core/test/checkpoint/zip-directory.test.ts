/** Archives made by hand, so that they can lie. */
import { describe, expect, it } from "vitest";
import { bytesSource } from "../../src/checkpoint/byte-source.js";
import { readZipDirectory, zipDataOffset } from "../../src/checkpoint/zip-directory.js";

interface Member {
  readonly name: string;
  readonly content: Uint8Array;
  /** What the directory says instead of the truth. */
  readonly claims?: { readonly size?: number; readonly offset?: number; readonly flags?: number };
}

const text = (value: string) => new TextEncoder().encode(value);

function bytesOf(fields: readonly (readonly [value: number, bytes: 2 | 4 | 8])[]): number[] {
  return fields.flatMap(([value, bytes]) => {
    let rest = BigInt(value);
    return Array.from({ length: bytes }, () => {
      const byte = Number(rest & 0xffn);
      rest >>= 8n;
      return byte;
    });
  });
}

/** A stored archive. With `zip64` every size and position stands in the extra field, and the end record in its own. */
function archive(members: readonly Member[], { zip64 = false, comment = "" } = {}): Uint8Array {
  const out: number[] = [];
  const directory: number[] = [];
  for (const { name, content, claims = {} } of members) {
    const offset = claims.offset ?? out.length;
    const size = claims.size ?? content.length;
    const full = 0xffffffff;
    const sizes: [number, 4][] = zip64
      ? [
          [full, 4],
          [full, 4],
        ]
      : [
          [size, 4],
          [size, 4],
        ];
    const extra = zip64
      ? bytesOf([
          [1, 2],
          [24, 2],
          [size, 8],
          [size, 8],
          [offset, 8],
        ])
      : [];
    out.push(
      ...bytesOf([
        [0x04034b50, 4],
        [20, 2],
        [0, 2],
        [0, 2],
        [0, 4],
        [0, 4],
        [size, 4],
        [size, 4],
        [name.length, 2],
        [0, 2],
      ]),
    );
    out.push(...text(name), ...content);
    const common = bytesOf([
      [0x02014b50, 4],
      [20, 2],
      [20, 2],
      [claims.flags ?? 0, 2],
      [0, 2],
      [0, 4],
      [0, 4],
    ]);
    const rest = bytesOf([
      ...sizes,
      [name.length, 2],
      [extra.length, 2],
      [0, 2],
      [0, 2],
      [0, 2],
      [0, 4],
      [zip64 ? full : offset, 4],
    ]);
    directory.push(...common, ...rest, ...text(name), ...extra);
  }
  const start = out.length;
  out.push(...directory);
  if (zip64) {
    const end = out.length;
    const counts: [number, 8][] = [
      [members.length, 8],
      [members.length, 8],
      [directory.length, 8],
      [start, 8],
    ];
    out.push(...bytesOf([[0x06064b50, 4], [44, 8], [45, 2], [45, 2], [0, 4], [0, 4], ...counts]));
    out.push(
      ...bytesOf([
        [0x07064b50, 4],
        [0, 4],
        [end, 8],
        [1, 4],
      ]),
    );
  }
  const count = zip64 ? 0xffff : members.length;
  const place: [number, 4][] = zip64
    ? [
        [0xffffffff, 4],
        [0xffffffff, 4],
      ]
    : [
        [directory.length, 4],
        [start, 4],
      ];
  out.push(...bytesOf([[0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], ...place, [comment.length, 2]]));
  return Uint8Array.from([...out, ...text(comment)]);
}

const source = (bytes: Uint8Array) => bytesSource(bytes, "test.zip");
const members = [
  { name: "a.txt", content: text("first") },
  { name: "folder/b.txt", content: text("second") },
];

describe("readZipDirectory", () => {
  it.each([{ zip64: false }, { zip64: true }, { zip64: false, comment: "made by hand" }])(
    "reads %o",
    async (options) => {
      const bytes = archive(members, options);
      const directory = await readZipDirectory(source(bytes));
      expect([...directory.keys()]).toEqual(["a.txt", "folder/b.txt"]);
      for (const { name, content } of members) {
        const member = directory.get(name);
        if (member === undefined) throw new Error(`no ${name}`);
        const offset = await zipDataOffset(source(bytes), member);
        expect(bytes.slice(offset, offset + member.size)).toEqual(content);
      }
    },
  );

  it("reads an empty archive", async () => {
    expect((await readZipDirectory(source(archive([])))).size).toBe(0);
  });

  it("isn't fooled by an end record inside of the comment", async () => {
    const inner = String.fromCharCode(...archive([]));
    const directory = await readZipDirectory(source(archive(members, { comment: `${inner} and more` })));
    expect(directory.size).toBe(2);
  });

  const lies: [problem: string, bytes: Uint8Array, message: RegExp][] = [
    ["no archive", text("something else entirely, long enough for an end record"), /there is no end record/],
    ["too short", text("PK"), /there is no end record/],
    [
      "members that overlap",
      archive([members[0] as Member, { name: "b", content: text("x"), claims: { offset: 0 } }]),
      /overlaps with what follows it/,
    ],
    [
      "a member longer than the archive",
      archive([{ name: "a", content: text("x"), claims: { size: 1e9 } }]),
      /overlaps/,
    ],
    ["two members of one name", archive([members[0] as Member, members[0] as Member]), /two members "a\.txt"/],
    ["an encrypted member", archive([{ name: "a", content: text("x"), claims: { flags: 1 } }]), /"a" is encrypted/],
    [
      "a position beyond 2^53",
      archive([{ name: "a", content: text("x"), claims: { offset: 2 ** 60 } }], { zip64: true }),
      /out of range/,
    ],
  ];
  it.each(lies)("refuses %s", async (_, bytes, message) => {
    await expect(readZipDirectory(source(bytes))).rejects.toThrow(message);
  });

  it("refuses a directory outside of the file", async () => {
    const bytes = archive(members);
    new DataView(bytes.buffer).setUint32(bytes.length - 22 + 12, 0x7fffffff, true);
    await expect(readZipDirectory(source(bytes))).rejects.toThrow(/lies outside of the file/);
  });

  it("refuses a member without its header", async () => {
    const bytes = archive(members);
    const directory = await readZipDirectory(source(bytes));
    bytes[0] = 0;
    const member = directory.get("a.txt");
    if (member === undefined) throw new Error("no a.txt");
    await expect(zipDataOffset(source(bytes), member)).rejects.toThrow(/has no header/);
  });
});
