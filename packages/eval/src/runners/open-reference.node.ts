/** What samples are compared with: pictures, statistics, or an ADM archive, which has both. */
import { stat } from "node:fs/promises";
import { openNpz } from "../files/npz-reader.node.js";
import type { Protocol } from "../protocols/protocol.js";
import { folderSource } from "../sources/folder-source.node.js";
import { npzSource } from "../sources/npz-source.node.js";
import type { PictureSource } from "../sources/picture-source.js";
import { readStatistics, type StatisticsFile } from "../statistics/statistics-file.node.js";

export interface Reference {
  readonly name: string;
  readonly pictures: PictureSource | undefined;
  readonly statistics: StatisticsFile | undefined;
}

/**
 * Opens a folder of pictures (cropped as `protocol` asks) or an .npz file.
 *
 * @throws DataError when it has neither pictures nor statistics
 */
export async function openReference(
  path: string,
  protocol: Pick<Protocol, "crop" | "size" | "decoding">,
): Promise<Reference> {
  const isFolder = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (isFolder) return { name: path, pictures: await folderSource(path, { protocol }), statistics: undefined };
  const npz = await openNpz(path);
  const names = npz.names;
  await npz.close();
  const hasPictures = names.includes("arr_0");
  // Without either, reading the statistics says what is missing.
  const hasStatistics = names.includes("mu") || !hasPictures;
  return {
    name: path,
    pictures: hasPictures ? await npzSource(path) : undefined,
    statistics: hasStatistics ? await readStatistics(path) : undefined,
  };
}
