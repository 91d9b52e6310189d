import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Image, Tensor } from "@dcae/core";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, it } from "vitest";
import { openNpz, writeNpz } from "../../src/files/npz.node.js";
import { resolveProtocol } from "../../src/protocols/protocol.js";
import { folderSource } from "../../src/sources/folder-source.node.js";
import { npzSource, writePictures } from "../../src/sources/npz-source.node.js";
import { memorySource, type PictureSource } from "../../src/sources/picture-source.js";
import { goldenJson, goldenPath } from "../support/golden.js";
import { formulaPictures, writePictures as writeFiles } from "../support/picture-folder.js";

const folder = temporaryFolder();
const images = Array.from({ length: 40 }, (_, seed) => formulaImage(9, 7, seed));

async function collect(source: PictureSource, start = 0): Promise<{ name: string; image: Image | undefined }[]> {
  const pictures = [];
  for await (const { name, image } of source.read(start)) pictures.push({ name, image });
  return pictures;
}

describe("pictures in archives", () => {
  it("come back as they were, from any position, stored or deflated", async () => {
    const path = join(folder, "samples.npz");
    expect(await writePictures(path, memorySource("samples", images))).toEqual({ count: 40 });
    const npz = await openNpz(path);
    const deflated = join(folder, "deflated.npz");
    await writeNpz(deflated, { arr_0: await npz.read("arr_0") }, { compress: true });
    await npz.close();
    for (const file of [path, deflated]) {
      const source = await npzSource(file);
      expect(source.count).toBe(40);
      expect((await collect(source)).map(({ image }) => image)).toEqual(images);
      const late = await collect(source, 37);
      expect(late.map(({ name }) => name)).toEqual(["37", "38", "39"]);
      expect(late[0]?.image).toEqual(images[37]);
      expect(await collect(await npzSource(file, { limit: 3 }), 1)).toHaveLength(2);
    }
  });

  it("are read from NumPy's files", async () => {
    const { arr_0 } = goldenJson("npz_samples");
    const source = await npzSource(goldenPath("npz_adm_style.npz"));
    expect((await collect(source)).map(({ image }) => image)).toEqual(
      (arr_0.formula_seeds as number[]).map((seed) => formulaImage(arr_0.shape[2], arr_0.shape[1], seed)),
    );
  });

  it("must have one size, and all be readable", async () => {
    const mixed = memorySource("mixed", [formulaImage(9, 7, 0), formulaImage(9, 8, 0)]);
    await expect(writePictures(join(folder, "x.npz"), mixed)).rejects.toThrow(/1 is 9x8, the first picture is 9x7/);
    const files = await writeFiles(join(folder, "files"), formulaPictures(2, 9, 7));
    writeFileSync(join(files, "000.png"), "broken");
    const broken = await folderSource(files, { protocol: resolveProtocol() });
    await expect(writePictures(join(folder, "x.npz"), broken)).rejects.toThrow(/files: 000\.png: can't be read/);
    expect(() => readFileSync(join(folder, "x.npz"))).toThrow(/ENOENT/);
  });

  it("must be 8-bit RGB", async () => {
    const path = join(folder, "floats.npz");
    await writeNpz(path, { arr_0: Tensor.zeros([2, 4, 4, 3]) });
    await expect(npzSource(path)).rejects.toThrow(/"arr_0" is float32 \[2, 4, 4, 3\], expected uint8 \[N, H, W, 3\]/);
  });
});

describe("streamed arrays", () => {
  it("must have the length that was announced", async () => {
    const content = (async function* () {
      yield new Uint8Array(5);
    })();
    const array = { dtype: "uint8" as const, shape: [6], byteLength: 6, content };
    await expect(writeNpz(join(folder, "short.npz"), { array })).rejects.toThrow(/has 5 bytes, 6 were announced/);
  });
});
