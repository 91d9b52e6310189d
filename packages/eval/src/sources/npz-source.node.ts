/**
 * Pictures as an archive in ADM's layout: `arr_0`, uint8 [N, H, W, 3] (evaluation.md section 4), which its evaluator and others take as
 * samples. Read and written in pieces.
 */
import { createImage, DataError } from "@dcae/core";
import { DEFAULT_MAX_PIXELS } from "@dcae/core/image";
import { openNpz, writeNpz } from "../files/npz.node.js";
import type { Picture, PictureSource } from "./picture-source.js";

const ARRAY = "arr_0";
/** Pictures per read. */
const PIECE = 16;

/**
 * The pictures of an archive, as they are.
 *
 * @throws DataError when it has no `arr_0` of 8-bit RGB pictures
 */
export async function npzSource(
  path: string,
  { limit }: { readonly limit?: number | undefined } = {},
): Promise<PictureSource> {
  const npz = await openNpz(path);
  try {
    const { dtype, shape } = await npz.describe(ARRAY);
    const [available = 0, height = 0, width = 0, channels] = shape;
    if (dtype !== "uint8" || shape.length !== 4 || channels !== 3 || available * height * width === 0) {
      throw new DataError(`${path}: "${ARRAY}" is ${dtype} [${shape.join(", ")}], expected uint8 [N, H, W, 3]`);
    }
    if (height * width > DEFAULT_MAX_PIXELS) {
      throw new DataError(`${path}: pictures of ${width}x${height} pixels are too large (limit ${DEFAULT_MAX_PIXELS})`);
    }
    const count = Math.min(available, limit ?? available);
    const fingerprint = `${shape.join("x")} ${count} crc32 ${npz.checksum(ARRAY)}`;

    async function* read(start: number): AsyncGenerator<Picture> {
      const archive = await openNpz(path);
      try {
        let index = 0;
        for await (const bytes of archive.items(ARRAY, PIECE)) {
          const pixels = height * width * 3;
          for (let at = 0; at < bytes.length; at += pixels, index++) {
            if (index >= count) return;
            if (index < start) continue;
            const image = createImage(width, height, bytes.slice(at, at + pixels));
            yield { index, name: String(index), image };
          }
        }
      } finally {
        await archive.close();
      }
    }

    return { name: path, count, fingerprint, setFingerprint: fingerprint, read };
  } finally {
    await npz.close();
  }
}

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
