/** Files that aren't pictures, or not whole ones: one line that names the file, never a picture made of half of it. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, describe, expect, test } from "vitest";
import { DataError } from "../../src/errors.js";
import { decodeImage } from "../../src/image/decode-image.node.js";
import { goldenImagePath } from "./golden-image.js";

const folder = mkdtempSync(join(tmpdir(), "dcae-image-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function failure(path: string): Promise<DataError> {
  const error = await decodeImage(path).then(
    () => expect.fail("decoded"),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DataError);
  const { message } = error as DataError;
  expect(message).toContain(path);
  expect(message).not.toContain("\n");
  return error as DataError;
}

describe("files that can't be read", () => {
  test("missing", async () => {
    expect((await failure(join(folder, "missing.png"))).message).toMatch(/no such file/);
  });
  test("empty", async () => {
    expect((await failure(file("empty.png", ""))).message).toMatch(/0 bytes/);
  });
  test("a folder", async () => {
    expect((await failure(folder)).message).toMatch(/folder/);
  });
  test("below a file", async () => {
    expect((await failure(join(file("plain.txt", "x"), "inner.png"))).message).toMatch(/not a folder/);
  });
  test("text", async () => {
    expect((await failure(file("text.png", "this is no picture"))).message).toMatch(/not a JPEG, PNG/);
  });
  test("JSON that looks like nothing", async () => {
    await failure(file("data.json", JSON.stringify({ a: [1, 2, 3] })));
  });
  test("a loop of links", async () => {
    symlinkSync(join(folder, "loop-a"), join(folder, "loop-b"));
    symlinkSync(join(folder, "loop-b"), join(folder, "loop-a"));
    expect((await failure(join(folder, "loop-a"))).message).toMatch(/loop/);
  });
  test.runIf(process.platform === "linux")("a device", async () => {
    expect((await failure("/dev/zero")).message).toMatch(/not a regular file/);
  });
  test.runIf(process.platform === "linux")("a pipe doesn't block", async () => {
    const path = join(folder, "pipe");
    execFileSync("mkfifo", [path]);
    expect((await failure(path)).message).toMatch(/not a regular file/);
  });
  test.runIf(process.platform !== "win32" && process.getuid?.() !== 0)("no permission", async () => {
    const path = file("secret.png", "x");
    chmodSync(path, 0);
    expect((await failure(path)).message).toMatch(/permission denied/);
  });
  test("a file too large to be a picture", async () => {
    const path = file("huge.png", "");
    truncateSync(path, 2 ** 30 + 1); // sparse
    expect((await failure(path)).message).toMatch(/too large for a picture/);
  });
  test.each(["", "a\0b"])("an invalid path: %j", async (path) => {
    await expect(decodeImage(path)).rejects.toThrow(DataError);
  });
  test("neither path nor bytes", async () => {
    await expect(decodeImage(5 as never)).rejects.toThrow(/^loadImage: a number isn't a picture$/);
    await expect(decodeImage(null as never)).rejects.toThrow(/^loadImage: null isn't a picture$/);
    await expect(decodeImage(new URL("ftp://localhost/a.png"))).rejects.toThrow(/"ftp:" URLs/);
  });
});

const noisy = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i * 7 + (i >> 3) * 13) % 256);
const rawNoise = () => sharp(noisy, { raw: { width: 64, height: 64, channels: 3 } });
const encoded = {
  jpg: await rawNoise().jpeg().toBuffer(),
  "progressive.jpg": await rawNoise().jpeg({ progressive: true }).toBuffer(),
  png: await rawNoise().png().toBuffer(),
  webp: await rawNoise().webp().toBuffer(),
  avif: await rawNoise().avif().toBuffer(),
  tif: await rawNoise().tiff({ compression: "lzw" }).toBuffer(),
  gif: await rawNoise().gif().toBuffer(),
};

test.each(Object.entries(encoded))("a truncated %s is refused wherever it ends", async (ending, bytes) => {
  for (const fraction of [0.02, 0.3, 0.5, 0.9]) {
    const part = bytes.subarray(0, Math.floor(bytes.length * fraction));
    await failure(file(`truncated-${fraction}.${ending}`, part));
  }
});

test.each(Object.entries(encoded))("damaged %s: a picture of the size it states, or a DataError", async (_, bytes) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      fc.option(fc.nat(bytes.length), { nil: bytes.length, freq: 3 }),
      async (changes, length) => {
        const mutated = Uint8Array.from(bytes.subarray(0, length));
        for (const [position, value] of changes) if (position < length) mutated[position] = value;
        try {
          const image = await decodeImage(mutated, { maxPixels: 2 ** 16 });
          expect(image.data.length).toBe(image.width * image.height * 3);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
          expect((error as DataError).message).not.toContain("\n");
        }
      },
    ),
    { seed: 77, numRuns: 120 },
  );
});

test("random bytes are a DataError", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      await expect(decodeImage(bytes)).rejects.toThrow(DataError);
    }),
    { seed: 78, numRuns: 200 },
  );
});

test("random bytes behind a valid start are a DataError or a picture", async () => {
  const start = readFileSync(goldenImagePath("rgb.jpg")).subarray(0, 200);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const result = await decodeImage(Buffer.concat([start, bytes])).catch((error: unknown) => error as Error);
      if (result instanceof Error) expect(result).toBeInstanceOf(DataError);
      else expect(result.data).toHaveLength(3 * result.width * result.height);
    }),
    { seed: 79, numRuns: 100 },
  );
});
