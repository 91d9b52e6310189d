/** What samples are compared with: pictures, statistics, or an ADM archive, which has both. */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { openNpz } from "../files/npz-reader.node.js";
import type { Protocol } from "../protocols/protocol.js";
import { folderSource } from "../sources/folder-source.node.js";
import { npzSource } from "../sources/npz-source.node.js";
import type { PictureSource } from "../sources/picture-source.js";
import { missingShare, readStatistics, type StatisticsFile } from "../statistics/statistics-file.node.js";

export interface Reference {
  readonly name: string;
  /** Equal for the same pictures or statistics, wherever they lie. */
  readonly fingerprint: string;
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
  if (isFolder) {
    const pictures = await folderSource(path, { protocol });
    return { name: path, fingerprint: pictures.setFingerprint, pictures, statistics: undefined };
  }
  const npz = await openNpz(path);
  const names = npz.names;
  await npz.close();
  const hasPictures = names.includes("arr_0");
  // Without either, reading the statistics says what is missing.
  const hasStatistics = names.includes("mu") || !hasPictures;
  const statistics = hasStatistics ? await readStatistics(path) : undefined;
  const pictures = hasPictures ? await npzSource(path) : undefined;
  const fingerprints = [statistics && fingerprintOf(statistics), pictures?.setFingerprint];
  return { name: path, fingerprint: fingerprints.filter((part) => part !== undefined).join(" "), pictures, statistics };
}

/** Complete statistics of ours stand for their pictures; those of other tools for their numbers. */
function fingerprintOf({ info, statistics }: StatisticsFile): string {
  if (info !== undefined && missingShare(info.shards) === 0) return info.set;
  const hash = createHash("sha256");
  for (const { buffer, byteOffset, byteLength } of [statistics.mean, statistics.covariance]) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}
