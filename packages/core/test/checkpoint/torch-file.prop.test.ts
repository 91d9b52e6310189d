/** Damaged and hostile PyTorch files end in a typed error: never another exception, never a hang, never a large array. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesSource } from "../../src/checkpoint/byte-source.js";
import { openTorch } from "../../src/checkpoint/torch/torch-file.js";
import { DcaeError } from "../../src/errors.js";

const files = ["state-dict.zip.pth", "state-dict.legacy.pth", "training.zip.pth", "training.legacy.pth"].map(
  (name) => new Uint8Array(readFileSync(fileURLToPath(new URL(`../golden/torch/${name}`, import.meta.url)))),
);

/** Opens the file and reads all of it. */
async function readAll(bytes: Uint8Array): Promise<number> {
  const weights = await openTorch(bytesSource(bytes, "test.pth"));
  let total = 0;
  for (const entry of weights.entries.values()) total += (await entry.read()).data.length;
  return total;
}

async function expectTypedErrorOrTensors(bytes: Uint8Array): Promise<void> {
  try {
    expect(await readAll(bytes)).toBeLessThan(1e6);
  } catch (error) {
    expect(error).toBeInstanceOf(DcaeError);
  }
}

const file = fc.constantFrom(...files);
const options = { seed: 20241105, numRuns: 400 };

describe("openTorch", () => {
  it("survives changed bytes", async () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(file, changes, async (bytes, edits) => {
        const damaged = bytes.slice();
        for (const [at, value] of edits) damaged[at % damaged.length] = value;
        await expectTypedErrorOrTensors(damaged);
      }),
      options,
    );
  });

  it("survives cut files", async () => {
    await fc.assert(
      fc.asyncProperty(file, fc.nat(), async (bytes, at) => {
        await expect(readAll(bytes.slice(0, at % bytes.length))).rejects.toBeInstanceOf(DcaeError);
      }),
      options,
    );
  });

  it("survives nonsense after the magic number", async () => {
    const magic = (files[1] as Uint8Array).slice(0, 15);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (rest) => {
        await expectTypedErrorOrTensors(Uint8Array.from([...magic, ...rest]));
      }),
      options,
    );
  });
});

/** The three pickles before the object, then `object`, an empty list of storages. */
function legacy(object: readonly number[]): Uint8Array {
  const head = (files[1] as Uint8Array).slice(0, 15);
  const protocol = [0x80, 2, 0x4d, 0xe9, 0x03, 0x2e];
  const key = [...new TextEncoder().encode("little_endian")];
  const system = [0x80, 2, 0x7d, 0x58, key.length, 0, 0, 0, ...key, 0x88, 0x73, 0x2e];
  return Uint8Array.from([...head, ...protocol, ...system, 0x80, 2, ...object, 0x2e, 0x80, 2, 0x5d, 0x2e]);
}

describe("hostile pickles", () => {
  it("refuses a list that contains itself", async () => {
    // EMPTY_LIST, BINPUT 0, BINGET 0, APPEND
    await expect(readAll(legacy([0x5d, 0x71, 0, 0x68, 0, 0x61]))).rejects.toThrow(/nested deeper than/);
  });

  it("refuses lists that multiply", async () => {
    // Ten levels of a list that holds the level below ten times.
    const level = (from: number) => [
      0x5d,
      0x28,
      ...Array<number[]>(10).fill([0x68, from]).flat(),
      0x65,
      0x71,
      from + 1,
    ];
    const bomb = [0x5d, 0x71, 0, ...Array.from({ length: 10 }, (_, i) => level(i)).flat()];
    const keepLast = Array<number[]>(10).fill([0x86]).flat();
    await expect(readAll(legacy([...bomb, ...keepLast]))).rejects.toThrow(/unfold to more than|nested deeper/);
  });

  it("refuses a string that claims more bytes than there are", async () => {
    await expect(readAll(legacy([0x58, 0xff, 0xff, 0xff, 0xff]))).rejects.toThrow(/the pickle ends early/);
  });

  it("refuses a call of what isn't a known name", async () => {
    await expect(readAll(legacy([0x4b, 1, 0x29, 0x52]))).rejects.toThrow(/calls something that isn't/);
  });

  it("refuses instructions that aren't needed for tensors", async () => {
    // INST, which imports and calls at once.
    await expect(readAll(legacy([0x28, 0x69]))).rejects.toThrow(/instruction 0x69 isn't allowed/);
  });

  // A tensor of one number in memo 0: what the lists below share.
  const text = (value: string) => [0x58, value.length, 0, 0, 0, ...new TextEncoder().encode(value)];
  const storage = [0x28, ...text("storage"), 0x63, ..."torch\nFloatStorage\n"].map((item) =>
    typeof item === "string" ? item.charCodeAt(0) : item,
  );
  const line = (value: string) => [...value].map((character) => character.charCodeAt(0));
  const tensor = [
    ...[0x63, ...line("torch._utils\n_rebuild_tensor_v2\n"), 0x28],
    ...[...storage, ...text("0"), ...text("cpu"), 0x4b, 1, 0x74, 0x51],
    ...[0x4b, 0, 0x28, 0x74, 0x28, 0x74, 0x89, 0x63, ...line("collections\nOrderedDict\n"), 0x29, 0x52, 0x74, 0x52],
    ...[0x71, 0],
  ];
  const shared = (width: number, depth: number) =>
    Array.from({ length: depth }, (_, level) => [
      ...[0x30, 0x28, ...Array<number[]>(width).fill([0x68, level]).flat()],
      ...[0x6c, 0x71, level + 1],
    ]).flat();

  it.each([
    [9, 7],
    [3000, 2],
  ])(
    "refuses %i shared lists in %i levels: the tensors they unfold to are more than the file can describe",
    async (width, depth) => {
      await expect(readAll(legacy([...tensor, ...shared(width, depth)]))).rejects.toThrow(
        /test\.pth: its objects share parts that unfold to more than its \d+ bytes can describe/,
      );
    },
  );

  it("refuses a long name that many paths repeat", async () => {
    // A dict in a dict, under one key of 60,000 characters; the inner one holds the tensor 2000 times.
    const key = [0x58, 0x60, 0xea, 0, 0, ...Array<number>(60_000).fill(0x61), 0x71, 1];
    const items = Array.from({ length: 2000 }, (_, i) => [0x4d, i & 255, i >> 8, 0x68, 0]).flat();
    const dicts = [0x7d, 0x68, 1, 0x7d, 0x28, ...items, 0x75, 0x73];
    await expect(readAll(legacy([...tensor, 0x30, ...key, 0x30, ...dicts]))).rejects.toThrow(/unfold to more than/);
  });

  it("refuses a list of pairs that many dicts are made from", async () => {
    const pairs = [0x5d, 0x28, ...Array<number[]>(2000).fill([0x4b, 1, 0x4b, 2, 0x86]).flat(), 0x65, 0x71, 1];
    const make = [0x63, ...line("collections\nOrderedDict\n"), 0x71, 2, 0x30];
    const calls = Array<number[]>(2000).fill([0x68, 2, 0x68, 1, 0x85, 0x52, 0x30]).flat();
    await expect(readAll(legacy([...pairs, ...make, ...calls]))).rejects.toThrow(/unfold to more than/);
  });

  it("refuses sizes of more dimensions than an array has", async () => {
    const sizes = [0x28, ...Array<number[]>(65).fill([0x4b, 1]).flat(), 0x74];
    const wide = [
      ...[0x63, ...line("torch._utils\n_rebuild_tensor_v2\n"), 0x28],
      ...[...storage, ...text("0"), ...text("cpu"), 0x4b, 1, 0x74, 0x51, 0x4b, 0, ...sizes, ...sizes, 0x74, 0x52],
    ];
    await expect(readAll(legacy(wide))).rejects.toThrow(/has 65 dimensions/);
  });

  it("refuses more objects than checkpoints have, before they fill the memory", async () => {
    await expect(readAll(legacy(Array<number>(2_000_001).fill(0x5d)))).rejects.toThrow(/has more than 2000000 objects/);
  });

  it.each([
    ["a name to import", [0x68, 30, ...line(""), 0x8c, 1, 0x61, 0x93]],
    [
      "a key of a storage",
      [0x28, ...text("storage"), ...storage.slice(13), 0x68, 30, ...text("cpu"), 0x4b, 1, 0x74, 0x51],
    ],
    ["a protocol of torch.save", [0x68, 30]],
  ])("names what isn't text without a call of it: nested lists as %s", async (_, use) => {
    // [[[[...]]]], 200 levels; then lists of two of the level below, whose text would be longer than memory.
    const nested = [
      0x5d,
      0x71,
      0,
      ...Array.from({ length: 29 }, (_, i) => [0x5d, 0x28, 0x68, i, 0x68, i, 0x65, 0x71, i + 1]).flat(),
    ];
    await expect(readAll(legacy([...nested, 0x71, 30, 0x30, ...use]))).rejects.toBeInstanceOf(DcaeError);
  });

  it("reads parts that are shared, as weights that are also their average", async () => {
    const state = [0x7d, ...text("weight"), 0x68, 0, 0x73, 0x71, 1, 0x30];
    const both = [0x7d, ...text("model"), 0x68, 1, 0x73, ...text("ema"), 0x68, 1, 0x73];
    const whole = legacy([...tensor, 0x30, ...state, ...both]);
    const key = [0x80, 2, 0x5d, ...text("0"), 0x61, 0x2e];
    const data = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3f];
    const weights = await openTorch(bytesSource(Uint8Array.from([...whole.slice(0, -4), ...key, ...data]), "test.pth"));
    expect([...weights.entries.keys()]).toEqual(["model.weight", "ema.weight"]);
    expect([...(await weights.entries.get("ema.weight")!.read()).data]).toEqual([1]);
  });
});
