/** Small parts: numbers, progress, paths, errors. */

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, DataError, Tensor } from "@dcae/core";
import { readNpyFile, writeNpyFile } from "@dcae/core/checkpoint";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import {
  createCliIo,
  createProgressLine,
  formatBytes,
  formatCount,
  formatPsnr,
  formatStep,
  plural,
} from "../src/cli-io.js";
import { errorLine } from "../src/errors.js";
import { openArrayFile, writeArrayFile } from "../src/files/array-file.js";
import { listFiles, outputKind } from "../src/files/paths.js";
import { parseCount, parsePositiveNumber, parseSeed, parseSize } from "../src/options/parse-values.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.00 kB"],
  [9994, "9.99 kB"],
  [9996, "10.0 kB"],
  [99_960, "100 kB"],
  [999_499, "999 kB"],
  [999_500, "1.00 MB"],
  [1_293_425_840, "1.29 GB"],
  [5e15, "5000 TB"],
])("%d bytes", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test("counts and decibels", () => {
  expect([0, 999, 1000, 676_896_140].map(formatCount)).toEqual(["0", "999", "1,000", "676,896,140"]);
  expect(formatPsnr(26.149)).toBe("26.15 dB");
  expect(formatPsnr(Number.POSITIVE_INFINITY)).toBe("identical");
  expect([plural(1, "picture"), plural(2000, "picture")]).toEqual(["1 picture", "2,000 pictures"]);
});

describe("progress", () => {
  test("text of a step", () => {
    expect(formatStep({ label: "encode", done: 3, total: 12, detail: "cat.png" })).toBe(
      "encode  [#####---------------]   25%  3/12  cat.png",
    );
    expect(formatStep({ label: "download", done: 2e6, unit: "bytes" })).toBe("download  2.00 MB");
    expect(formatStep({ label: "write", done: 0, total: 0, unit: "bytes" })).toContain("100%");
  });

  test("is limited to the terminal's width and to ten updates per second, except for the end of a step", () => {
    const written: string[] = [];
    let time = 0;
    const line = createProgressLine(
      (text) => written.push(text),
      () => 10,
      () => time,
    );
    const erase = "\r\u001b[2K";
    line.show({ label: "encode", done: 0, total: 3 });
    time += 50;
    line.show({ label: "encode", done: 1, total: 3 });
    line.show({ label: "encode", done: 3, total: 3 });
    expect(written).toEqual([`${erase}encode  [`, `${erase}encode  [`]);
    line.clear();
    line.clear();
    expect(written).toHaveLength(3);
    expect(written.at(-1)).toBe(erase);
  });

  test("never shows without a terminal", () => {
    const written = [false, true].map((isTerminal) => {
      const pieces: string[] = [];
      const { progress, note } = createCliIo({
        ...{ stdout: (text) => pieces.push(text), stderr: (text) => pieces.push(text), isTerminal },
      });
      progress.show({ label: "x", done: 1, total: 1 });
      note("done");
      return pieces;
    });
    expect(written[0]).toEqual(["done\n"]);
    expect(written[1]?.length).toBeGreaterThan(1);
  });
});

describe("values of options", () => {
  test("sizes", () => {
    expect(parseSize("512")).toEqual([512, 512]);
    expect(parseSize("640x480")).toEqual([480, 640]);
    for (const text of ["", "0", "x", "1x", "x1", "1x0", "-1", "1.5", "70000", "1x2x3"]) {
      expect(() => parseSize(text), text).toThrow("Give one side");
    }
  });

  test("seeds keep all 64 bits", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 64n) - 1n), (seed) => {
        expect(parseSeed(String(seed))).toBe(seed);
      }),
      { seed: 1 },
    );
    for (const text of ["18446744073709551616", "-1", "1e3", "", "0x1"]) expect(() => parseSeed(text), text).toThrow();
  });

  test("anything else is refused", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const parse of [parseCount, parsePositiveNumber]) {
          let value: number | undefined;
          try {
            value = parse(text);
          } catch (error) {
            expect(String(error)).toContain("Give a positive");
            return;
          }
          expect(value).toBeGreaterThan(0);
        }
      }),
      { seed: 1 },
    );
  });
});

describe("listFiles", () => {
  const options = { accept: (path: string) => path.endsWith(".png"), what: "pictures" };
  beforeAll(() => {
    mkdirSync(at("tree", "b", "c"), { recursive: true });
    for (const name of ["z.png", "a.png", "b/x.png", "b/c/y.png", "b/no.txt"]) writeFileSync(at("tree", name), "");
    symlinkSync(at("tree"), at("tree", "b", "loop"));
  });

  test("in order, without visiting a folder twice", async () => {
    const notes: string[] = [];
    const files = await listFiles([at("tree"), at("tree", "b", "no.txt")], options, {
      note: (text) => notes.push(text),
    });
    expect(files.map(({ name }) => name)).toEqual(["a", "b/c/y", "b/x", "z", "no"]);
    expect(notes).toEqual([`dcae: ${at("tree")}: left out 1 .txt, 1 links to folders listed already`]);
  });

  test("without the excluded folder, unless it is the one that is asked for", async () => {
    const exclude = at("tree", "b");
    const io = { note() {} };
    expect((await listFiles([at("tree")], { ...options, exclude }, io)).map(({ name }) => name)).toEqual(["a", "z"]);
    expect((await listFiles([exclude], { ...options, exclude }, io)).map(({ name }) => name)).toContain("x");
  });
});

test.each([
  ["new", "folder"],
  ["new/", "folder"],
  ["model-1.0", "folder"],
  ["x.npy", "array"],
  ["x.SAFETENSORS", "array"],
  ["x.jpg", "picture"],
  ["folder.png", "folder"],
] as const)("--out %s is a %s", async (name, kind) => {
  mkdirSync(at("folder.png"), { recursive: true });
  expect(await outputKind(`${folder}/${name}`, ["folder", "array", "picture"])).toBe(kind);
});

describe("array files", () => {
  test("rows of arrays in Fortran order", async () => {
    // What numpy.save writes for np.asfortranarray(np.arange(48.).reshape(2, 2, 3, 4)) as float32.
    const x = Tensor.float32(Float32Array.from({ length: 48 }, (_, i) => i)).reshape([2, 2, 3, 4]);
    await writeNpyFile(at("c.npy"), x.transpose());
    const bytes = Buffer.from(await import("node:fs/promises").then(({ readFile }) => readFile(at("c.npy"))));
    const header = bytes.toString("latin1", 0, 128);
    const changed = header.replace("False", "True ").replace("(4, 3, 2, 2)", "(2, 2, 3, 4)");
    bytes.write(changed, 0, "latin1");
    writeFileSync(at("f.npy"), bytes);
    const array = await openArrayFile(at("f.npy"));
    expect(array.shape).toEqual([2, 2, 3, 4]);
    expect(Array.from((await array.readItem(1)).toFloat32())).toEqual(Array.from(x.row(1).toFloat32()));
    await array.close();
  });

  test("are refused when the number of rows isn't what was announced", async () => {
    const request = { path: at("short.npy"), count: 3, tensorName: "x" };
    const write = writeArrayFile(request, (append) => append(Tensor.zeros([2, 1, 1, 1])));
    await expect(write).rejects.toThrow("3 items were announced, 2 came");
    await expect(readNpyFile(at("short.npy"))).rejects.toThrow("no such file");
  });
});

test("errors become one line", () => {
  expect(errorLine(new DataError("x: broken", { hint: "Mend it." }))).toBe("x: broken. Mend it.");
  expect(errorLine(new ConfigError("is it?", { hint: "No." }))).toBe("is it? No.");
  expect(errorLine(new DataError("two\n  lines\r\n"))).toBe("two lines");
  expect(errorLine(new TypeError("x is not a function"))).toContain("unexpected error: TypeError: x is not a function");
});
