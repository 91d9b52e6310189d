/** A picture is read in whatever form a program has it, and what is no picture is said with the list of forms. */
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pathToFileURL } from "node:url";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import sharp from "sharp";
import { beforeAll, describe, expect, test } from "vitest";
import { ConfigError, DataError, type DcaeError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";
import { createImage, decodeImage, type Image, imageToTensor, loadImage, saveImage } from "../../src/image/index.js";

const folder = temporaryFolder();
const path = join(folder, "picture.png");
const image = createImage(
  5,
  3,
  Uint8Array.from({ length: 45 }, (_, i) => (i * 37) % 256),
);
const rgba = new Uint8ClampedArray(60).map((_, i) =>
  i % 4 === 3 ? 255 : (image.data[(i >> 2) * 3 + (i % 4)] as number),
);
const imageData = { width: 5, height: 3, data: rgba, colorSpace: "srgb" };
let bytes: Buffer;
beforeAll(async () => {
  await saveImage(image, path);
  bytes = await readFile(path);
});

const canvas = {
  width: 5,
  height: 3,
  getContext: (kind: string) =>
    kind === "2d" ? { getImageData: (x: number, y: number) => (x === 0 && y === 0 ? imageData : undefined) } : null,
};

const FORMS: Readonly<Record<string, () => Parameters<typeof decodeImage>[0]>> = {
  path: () => path,
  "file: URL": () => pathToFileURL(path),
  "text of a file: URL": () => pathToFileURL(path).href,
  "text of a data: URL": () => `data:image/png;base64,${bytes.toString("base64")}`,
  "data: URL": () => new URL(`data:image/png;base64,${bytes.toString("base64")}`),
  "blob: URL": () => URL.createObjectURL(new Blob([bytes])),
  Buffer: () => bytes,
  Uint8Array: () => new Uint8Array(bytes),
  ArrayBuffer: () => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
  Blob: () => new Blob([bytes]),
  File: () => new File([bytes], "picture.png"),
  Response: () => new Response(bytes),
  ReadableStream: () => new Blob([bytes]).stream(),
  "stream of a file": () => createReadStream(path, { highWaterMark: 20 }),
  "stream of Node": () => Readable.from([bytes.subarray(0, 30), bytes.subarray(30)]),
  "sharp instance": () => sharp(path),
  "member of an archive": () => ({ name: "a.zip/picture.png", size: bytes.length, read: async () => bytes }),
  ImageData: () => imageData,
  canvas: () => canvas,
  Image: () => image,
};

test.each(Object.entries(FORMS))("%s", async (_, form) => {
  expect(await decodeImage(form())).toEqual(image);
});

test("a sharp instance with work of its own, in grey, with alpha, and used again afterwards", async () => {
  const instance = sharp(path).greyscale().resize(4, 2, { kernel: "nearest" });
  const grey = await decodeImage(instance);
  expect([grey.width, grey.height]).toEqual([4, 2]);
  expect(grey.data[0]).toBe(grey.data[2]);
  expect((await decodeImage(instance)).data).toEqual(grey.data);
  const seen = sharp({ create: { width: 2, height: 1, channels: 4, background: { r: 10, g: 20, b: 30, alpha: 0 } } });
  expect([...(await decodeImage(seen)).data]).toEqual([10, 20, 30, 10, 20, 30]);
  expect([...(await decodeImage(seen, { alpha: "white" })).data]).toEqual([255, 255, 255, 255, 255, 255]);
});

test("what lies behind transparent pixels", async () => {
  const clear = { width: 1, height: 1, data: Uint8Array.of(10, 20, 30, 0) };
  expect([...(await decodeImage(clear)).data]).toEqual([10, 20, 30]);
  expect([...(await decodeImage(clear, { alpha: [1, 2, 3] })).data]).toEqual([1, 2, 3]);
});

test("as a tensor", async () => expect(await loadImage(imageData)).toEqual(imageToTensor(image)));

const errorOf = (source: unknown): Promise<DcaeError> =>
  decodeImage(source as Image).then(
    () => {
      throw new Error("expected a rejection");
    },
    (error) => error,
  );

describe("what is no picture", () => {
  test.each<[string, unknown, string]>([
    ["nothing", undefined, "loadImage: undefined isn't a picture"],
    ["null", null, "loadImage: null isn't a picture"],
    ["a number", 5, "loadImage: a number isn't a picture"],
    ["an object", { cat: 1 }, "loadImage: an object of Object with cat isn't a picture"],
    ["several", ["a.png", "b.png"], "loadImage: an array isn't a picture"],
    ["values", new Float32Array(3), "loadImage: a Float32Array without its size isn't a picture"],
    ["a tensor", Tensor.zeros([1, 3, 2, 2]), "loadImage: a tensor isn't a picture"],
    ["another library's tensor", { dims: [1], data: [] }, "loadImage: a tensor of another library isn't a picture"],
    ["a bitmap, outside of a browser", { width: 1, height: 1, close() {} }, "loadImage: what a browser draws (Object)"],
  ])("%s", async (_, source, message) => {
    const error = await errorOf(source);
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toContain(message);
    expect(error.hint).toMatch(/Give a path or URL .* a sharp instance, ImageData, a canvas/);
  });

  test.each<[string, () => unknown, RegExp]>([
    ["an answer that says no", () => new Response("", { status: 404 }), /Response: the server answered 404/],
    ["an empty file", () => new File([], "cat.png"), /cat\.png: the file is empty/],
    ["text", () => new Blob(["hello"]), /Blob: can't be read as a picture/],
    ["a stream of text", () => Readable.from(["a", "b"]), /the stream gives string, not bytes/],
    ["pixels that lack", () => ({ width: 2, height: 2, data: new Uint8Array(3) }), /needs 16 bytes, got 3/],
    ["floats as pixels", () => ({ width: 1, height: 1, data: new Float32Array(4) }), /pixels are of Float32Array/],
    ["a canvas of WebGL", () => ({ ...canvas, getContext: () => null }), /it has another context than 2d/],
    ["a sharp instance of no picture", () => sharp(Buffer.from("x")), /sharp instance: can't be read/],
    ["text of no URL", () => "https://", /not a valid URL/],
  ])("%s", async (_, source, message) => expect((await errorOf(source())).message).toMatch(message));

  test("an answer that was read, and a stream that somebody reads", async () => {
    const response = new Response(bytes);
    await response.arrayBuffer();
    expect((await errorOf(response)).message).toMatch(/its body was read before/);
    const stream = new Blob([bytes]).stream();
    stream.getReader();
    expect((await errorOf(stream)).message).toMatch(/somebody else reads it/);
  });

  test("a stream that fails", async () => {
    const failing = new ReadableStream({
      pull() {
        throw new Error("cut off");
      },
    });
    expect((await errorOf(failing)).message).toMatch(/the stream failed: cut off/);
  });
});

describe("options", () => {
  test.each([
    [{ width: 64 }, /the option width isn't there: give size/],
    [{ orientaton: "exif" }, /unknown option "orientaton"; did you mean "orientation"\?/],
  ])("%j", async (options, message) => {
    await expect(loadImage(path, options as object)).rejects.toThrow(message);
    await expect(loadImage(path, options as object)).rejects.toThrow(ConfigError);
  });

  test("those of decoding have no effect on pixels", async () => {
    await expect(decodeImage(imageData, { orientation: "ignore" })).rejects.toThrow(/orientation has no effect/);
    await expect(decodeImage(sharp(path), { colorProfile: "srgb" })).rejects.toThrow(/colorProfile has no effect/);
  });
});
