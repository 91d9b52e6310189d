/**
 * Golden data of the image layer: `prepost` and `dm-crop` come from the reference code, `pillow-*` from Pillow itself.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { createImage, type Image } from "../../src/image/image.js";

export function goldenImagePath(file: string): string {
  return fileURLToPath(new URL(`../golden/image/${file}`, import.meta.url));
}

export interface GoldenImages<Info> {
  readonly info: Info;
  /** Names of all tensors. */
  readonly names: readonly string[];
  tensor(name: string): Tensor;
  /** A uint8 tensor [H, W, 3] as picture. */
  image(name: string): Image;
}

export async function goldenImages<Info>(name: string): Promise<GoldenImages<Info>> {
  const file = await openSafetensorsFile(goldenImagePath(`${name}.safetensors`));
  const tensors = new Map<string, Tensor>();
  for (const entry of file.entries.values()) tensors.set(entry.name, await entry.read());
  await file.close();
  const tensor = (key: string): Tensor => {
    const found = tensors.get(key);
    if (found === undefined) throw new Error(`${name} has no tensor ${key}`);
    return found;
  };
  return {
    info: JSON.parse(readFileSync(goldenImagePath(`${name}.json`), "utf8")) as Info,
    names: [...tensors.keys()],
    tensor,
    image(key) {
      const found = tensor(key);
      return createImage(found.shape[1]!, found.shape[0]!, found.data as Uint8Array);
    },
  };
}
