/** Removing files and folders, which on Windows waits as renaming does (rename-file.node.ts). */
import { rm } from "node:fs/promises";
import { whenFree } from "./rename-file.node.js";

/**
 * Removes a file, or a folder with all that is in it; nothing where there is none.
 *
 * @param remove what removes, for tests
 */
export function removeFile(
  path: string,
  { platform = process.platform, remove = rm, pauses }: RemoveOptions = {},
): Promise<void> {
  return whenFree(() => remove(path, { recursive: true, force: true }), platform, pauses);
}

interface RemoveOptions {
  readonly platform?: NodeJS.Platform;
  readonly remove?: (path: string, options: { readonly recursive: boolean; readonly force: boolean }) => Promise<void>;
  readonly pauses?: readonly number[];
}
