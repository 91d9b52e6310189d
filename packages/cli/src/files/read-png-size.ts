/** The size that a PNG file states, from its first 24 bytes: a data set may have many files. */
import { open } from "node:fs/promises";
import { DataError } from "@dcae/core";
import { errorCode, fileError } from "@dcae/core/checkpoint";

/** Signature, and the IHDR chunk's length and name. */
const START = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82);

/**
 * @returns undefined when there is no such file
 * @throws DataError when it can't be read or isn't a PNG file
 */
export async function readPngSize(
  path: string,
): Promise<{ readonly width: number; readonly height: number } | undefined> {
  const header = Buffer.alloc(START.length + 8);
  try {
    const file = await open(path, "r");
    try {
      await file.read(header, 0, header.length, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw fileError(error, path, "read");
  }
  if (!START.every((byte, i) => header[i] === byte)) {
    throw new DataError(`${path}: isn't a PNG file`, { hint: "Remove it, or choose another folder." });
  }
  return { width: header.readUInt32BE(START.length), height: header.readUInt32BE(START.length + 4) };
}
