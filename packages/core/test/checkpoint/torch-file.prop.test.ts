/** Damaged and hostile PyTorch files end in a typed error: never another exception, never a hang, never a large array. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memorySource } from "../../src/checkpoint/byte-source.js";
import { openTorch } from "../../src/checkpoint/torch-file.js";
import { DcaeError } from "../../src/errors.js";

const files = ["state-dict.zip.pth", "state-dict.legacy.pth", "training.zip.pth", "training.legacy.pth"].map(
  (name) => new Uint8Array(readFileSync(fileURLToPath(new URL(`../golden/torch/${name}`, import.meta.url)))),
);

/** Opens the file and reads all of it. */
async function readAll(bytes: Uint8Array): Promise<number> {
  const weights = await openTorch(memorySource(bytes, "test.pth"));
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
    await expect(readAll(legacy([...bomb, ...keepLast]))).rejects.toThrow(/has more than|nested deeper/);
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
});
