/** Damaged, wrong and missing input: one clear line, exit status 1, and nothing half-written. */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { openSafetensorsFile, tensorEntries, writeNpyFile, writeSafetensorsFile } from "@dcae/core/checkpoint";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const out = at("out");

let m: string;
let cat: string;
let files: string[];

beforeAll(async () => {
  m = await makeModel(folder, "model");
  cat = await makePicture(folder, "cat.png");
  mkdirSync(out);
  files = readdirSync(out);
});
afterEach(() => {
  // No command of this file succeeds, and none may leave a file, whole, half or temporary.
  expect(readdirSync(out)).toEqual(files);
});

const LACKING = "decoder.project_out.op_list.0.weight";

/** A copy of the model whose weights were changed. */
async function brokenModel(name: string, change: (path: string) => void | Promise<void>): Promise<string> {
  mkdirSync(at(name));
  for (const file of readdirSync(m)) copyFileSync(join(m, file), at(name, file));
  await change(at(name, "model.safetensors"));
  return at(name);
}

describe("checkpoints", () => {
  const encode = (model: string) => failWith(1, "encode", cat, "-m", model, "-o", join(out, "z.npy"));

  test.each<[string, (path: string) => void | Promise<void>, string]>([
    ["truncated", (path) => writeFileSync(path, readFileSync(path).subarray(0, -100)), "model.safetensors"],
    ["empty", (path) => writeFileSync(path, ""), "model.safetensors"],
    ["huge header", (path) => writeFileSync(path, Buffer.alloc(64, 0xff)), "model.safetensors"],
    ["text", (path) => writeFileSync(path, "these are no weights, but they are long enough"), "model.safetensors"],
    [
      "NaN",
      async (path) => {
        const file = await openSafetensorsFile(path);
        const entries = await Promise.all(
          [...file.entries].map(async ([name, entry]) => [name, await entry.read()] as const),
        );
        await file.close();
        const bad = entries.map(([name, tensor]) => {
          if (name !== "encoder.project_out.main.op_list.0.conv.bias") return [name, tensor] as const;
          return [name, Tensor.full(tensor.shape, Number.NaN)] as const;
        });
        await writeSafetensorsFile(path, tensorEntries(bad));
      },
      '"encoder.project_out.main.op_list.0.conv.bias" holds NaN',
    ],
    [
      "lacking a tensor",
      async (path) => {
        const file = await openSafetensorsFile(path);
        const entries = [...file.entries.values()].filter(({ name }) => name !== LACKING);
        const kept = await Promise.all(entries.map(async (entry) => [entry.name, await entry.read()] as const));
        await file.close();
        await writeSafetensorsFile(path, tensorEntries(kept));
      },
      LACKING,
    ],
  ])("%s", async (name, change, message) => {
    expect(await encode(await brokenModel(name, change))).toContain(message);
  });

  test("a folder without weights, one that isn't there, a file of another kind", async () => {
    mkdirSync(at("empty-folder"));
    expect(await encode(at("empty-folder"))).toContain(at("empty-folder"));
    expect(await encode(at("nothing"))).toContain("no such file or folder");
    expect(await encode(cat)).toContain("cat.png");
  });

  test("a config of another model", async () => {
    const model = await brokenModel("other-config", () => {});
    writeFileSync(join(model, "config.json"), JSON.stringify({ model_name: "dc-ae-f32c32-in-1.0" }));
    expect(await encode(model)).toContain("other-config");
    writeFileSync(join(model, "config.json"), "{");
    expect(await encode(model)).toContain("config.json isn't valid JSON");
  });
});

describe("inputs of encode", () => {
  const encode = (input: string, target = "z.npy") => failWith(1, "encode", input, "-m", m, "-o", join(out, target));

  test("no file, a zero-byte file, a folder without pictures, no picture", async () => {
    expect(await encode(at("no.png"))).toContain(`${at("no.png")}: can't read: no such file or folder`);
    writeFileSync(at("zero.png"), "");
    expect(await encode(at("zero.png"))).toContain("the file is empty (0 bytes)");
    mkdirSync(at("no-pictures"));
    expect(await encode(at("no-pictures"))).toContain("there are no pictures in this folder");
    expect(await encode(at("model-config.json"))).toContain("can't be read as a picture");
  });

  test.skipIf(process.getuid?.() === 0)("an unreadable file and folder", async () => {
    copyFileSync(cat, at("secret.png"));
    chmodSync(at("secret.png"), 0);
    expect(await encode(at("secret.png"))).toContain("permission denied");
    mkdirSync(at("secret-folder"));
    chmodSync(at("secret-folder"), 0);
    expect(await encode(at("secret-folder"))).toContain("permission denied");
  });

  test("arrays that are cut off, empty, of another rank, type or number of channels, or not finite", async () => {
    await writeNpyFile(at("x.npy"), Tensor.zeros([2, 3, 8, 8]));
    const bytes = readFileSync(at("x.npy"));
    writeFileSync(at("cut.npy"), bytes.subarray(0, -4));
    expect(await encode(at("cut.npy"))).toContain("has 1536 bytes, got 1532");
    writeFileSync(at("cut-header.npy"), bytes.subarray(0, 20));
    expect(await encode(at("cut-header.npy"))).toContain("cut-header.npy: the .npy header claims");
    writeFileSync(at("zero.npy"), "");
    expect(await encode(at("zero.npy"))).toContain("the file is empty (0 bytes)");
    writeFileSync(at("zero.safetensors"), "");
    expect(await encode(at("zero.safetensors"))).toContain("zero.safetensors");
    expect(await encode(at("missing.npy"))).toContain("no such file");
    mkdirSync(at("folder.npy"));
    expect(await encode(at("folder.npy"))).toContain("there are no pictures in this folder");

    await writeNpyFile(at("rank.npy"), Tensor.zeros([3, 8]));
    expect(await encode(at("rank.npy"))).toContain("expected an array [N, C, H, W] or [C, H, W], got [3, 8]");
    await writeNpyFile(at("none.npy"), Tensor.zeros([0, 3, 8, 8]));
    expect(await encode(at("none.npy"))).toContain("got [0, 3, 8, 8]");
    await writeNpyFile(at("bytes.npy"), Tensor.zeros([1, 3, 8, 8]).cast("uint8"));
    expect(await encode(at("bytes.npy"))).toContain(
      "needs float values, got uint8. Pictures are floats in [-1, 1]: those of 8 bits become x / 127.5 - 1",
    );
    await writeNpyFile(at("channels.npy"), Tensor.zeros([1, 4, 8, 8]));
    expect(await encode(at("channels.npy"))).toContain("needs [N, 3, H, W]");
    await writeNpyFile(at("last.npy"), Tensor.zeros([1, 8, 8, 3]));
    expect(await encode(at("last.npy"))).toMatch(
      /last\.npy: .*got \[1, 8, 8, 3\], with the channels last\. Transpose it first, as NumPy does with x\.transpose\(0, 3, 1, 2\)\.\n$/,
    );
    await writeNpyFile(at("nan.npy"), Tensor.full([1, 3, 8, 8], Number.NaN));
    expect(await encode(at("nan.npy"))).toContain("nan.npy: encode: the input holds NaN");
  });

  test("arrays with values of another range say how to convert them", async () => {
    const ofRange = async (low: number, high: number) => {
      const values = Float32Array.from({ length: 192 }, (_, i) => (i % 2 === 0 ? low : high));
      await writeNpyFile(at("range.npy"), Tensor.float32(values, [1, 3, 8, 8]));
      return encode(at("range.npy"));
    };
    expect(await ofRange(0, 255)).toMatch(
      /range\.npy: encode: pictures have values in \[-1, 1\], these reach from 0 to 255\. They seem to be from 0 to 255: give x \/ 127\.5 - 1\.\n$/,
    );
    expect(await ofRange(0, 65_535)).toContain("from 0 to 65535: give x / 32767.5 - 1.");
    expect(await ofRange(-128, 127)).toContain("these reach from -128 to 127. Scale them to [-1, 1].");
  });

  test("pictures of two sizes for one file", async () => {
    const small = await makePicture(folder, "small.png", 16);
    const line = await failWith(1, "encode", cat, small, "-m", m, "-o", join(out, "z.npy"));
    expect(line).toContain("item 1 has shape [8, 4, 4], those before have [8, 8, 8]");
  });

  test("one bad picture among good ones leaves no file with fewer rows", async () => {
    const line = await failWith(1, "encode", cat, at("zero.png"), "-m", m, "-o", join(out, "z.safetensors"));
    expect(line).toContain("zero.png");
  });
});

describe("inputs of decode", () => {
  test("pictures, and latents of another model", async () => {
    expect(await failWith(1, "decode", cat, "-m", m, "-o", join(out, "x.png"))).toContain("takes latents");
    await writeNpyFile(at("wide.npy"), Tensor.zeros([1, 16, 2, 2]));
    expect(await failWith(1, "decode", at("wide.npy"), "-m", m, "-o", join(out, "x.png"))).toContain("wide.npy");
    await writeNpyFile(at("wide-last.npy"), Tensor.zeros([1, 2, 2, 8]));
    const decode = (path: string) => failWith(1, "decode", path, "-m", m, "-o", join(out, "x.png"));
    expect(await decode(at("wide-last.npy"))).toContain(
      "needs [N, 8, H, W] or [8, H, W], got [1, 2, 2, 8], with the channels last",
    );
    await writeNpyFile(at("whole-numbers.npy"), Tensor.zeros([1, 8, 2, 2]).cast("int32"));
    expect(await decode(at("whole-numbers.npy"))).toContain("needs float values, got int32. Latents are floats");
    await writeNpyFile(at("nan-latent.npy"), Tensor.full([1, 8, 2, 2], Number.NaN));
    const line = await failWith(1, "decode", at("nan-latent.npy"), "-m", m, "-o", join(out, "x.png"));
    expect(line).toContain("the input holds NaN");
  });
});

describe("places for results", () => {
  test("a file where a folder is needed, and a file above a folder", async () => {
    writeFileSync(at("file"), "");
    expect(await failWith(1, "encode", cat, "-m", m, "-o", at("file"))).toContain("it is a file, not a folder");
    expect(await failWith(1, "reconstruct", cat, "-m", m, "-o", at("file"))).toContain("it is a file, not a folder");
    expect(await failWith(1, "encode", cat, "-m", m, "-o", at("file", "z.npy"))).toContain("is a file, not a folder");
    expect(await failWith(1, "init", "--config", at("model-config.json"), "-o", at("file"))).toContain("it is a file");
    expect(await failWith(1, "demo", "-o", at("file"))).toContain("it is a file");
  });

  test("below something that is no folder", async () => {
    expect(await failWith(1, "encode", cat, "-m", m, "-o", "/dev/null/z.npy")).toContain("is a file, not a folder");
  });

  test("an input", async () => {
    await writeNpyFile(at("raw.npy"), Tensor.zeros([1, 3, 8, 8]));
    const before = readFileSync(at("raw.npy"));
    expect(await failWith(1, "encode", at("raw.npy"), "-m", m, "-o", at("raw.npy"))).toContain(
      "would replace an input",
    );
    expect(await failWith(1, "encode", at("raw.npy"), "-m", m, "-o", folder)).toContain("would replace an input");
    expect(readFileSync(at("raw.npy")).equals(before)).toBe(true);
  });
});

test("a device that isn't there says what to install", async () => {
  // Core ML exists on macOS only and DirectML on Windows only: one of them is missing everywhere.
  const device = process.platform === "win32" ? "coreml" : "dml";
  const line = await failWith(1, "encode", cat, "-m", m, "-o", join(out, "z.npy"), "--device", device);
  expect(line).toMatch(/device "\w+" doesn't work here: .+ exists on \w+ only\./);
});

test("--debug shows where an error comes from", async () => {
  const { status, stderr } = await cli(["--debug", "encode", at("no.png"), "-m", m, "-o", join(out, "z.npy")]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/\n +at .+\.ts:\d+/);
  expect(await succeed("info", m)).toContain("DC-AE");
});
