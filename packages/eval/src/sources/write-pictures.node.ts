/** Pictures as an archive in ADM's layout: `arr_0`, uint8 [N, H, W, 3], which its evaluator and others take as samples. */
import { DataError } from "@dcae/core";
import { writeNpz } from "../files/npz-writer.node.js";
import type { PictureSource } from "./picture-source.js";

/**
 * Writes all pictures of a source, one at a time.
 *
 * @throws DataError when a picture can't be read, sizes differ, there are none, or the file can't be written
 */
export async function writePictures(path: string, source: PictureSource): Promise<{ readonly count: number }> {
  const size = await firstSize(source);
  const pixels = size.width * size.height * 3;

  async function* content(): AsyncGenerator<Uint8Array> {
    for await (const { name, image, problem } of source.read(0)) {
      if (image === undefined) throw new DataError(`${source.name}: ${name}: ${problem}`);
      if (image.width !== size.width || image.height !== size.height) {
        throw new DataError(
          `${source.name}: ${name} is ${image.width}x${image.height}, the first picture is ${size.width}x${size.height}`,
          { hint: "An archive holds pictures of one size; choose a crop." },
        );
      }
      yield image.data;
    }
  }

  const { count } = source;
  const shape = [count, size.height, size.width, 3];
  await writeNpz(path, { arr_0: { dtype: "uint8", shape, byteLength: count * pixels, content: content() } });
  return { count };
}

async function firstSize(source: PictureSource): Promise<{ readonly width: number; readonly height: number }> {
  for await (const { name, image, problem } of source.read(0)) {
    if (image !== undefined) return image;
    throw new DataError(`${source.name}: ${name}: ${problem}`);
  }
  throw new DataError(`${source.name}: there are no pictures`);
}
