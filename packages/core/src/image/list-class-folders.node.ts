/** Files in class folders, `<root>/<class>/<file>`: which there are, and their labels (training.md section 8, diffusion.md section 13). */
import { join } from "node:path";
import { DataError } from "../errors.js";
import { addLeftOut, countLeftOut, describeLeftOut, type LeftOut, leftOutKind } from "./left-out.js";
import { entryKind, listFiles, readFolder } from "./list-files.node.js";
import { endingOf, whyIgnored } from "./picture-name.js";

export interface ClassFolders {
  /** Folder names, sorted; labels are positions in this list. */
  readonly classes: readonly string[];
  /** Files as `<class>/<file>`, class by class, sorted; also those in folders below. */
  readonly files: readonly string[];
  /** What else is there. */
  readonly leftOut: LeftOut;
}

/**
 * Lists the files of a folder of class folders. As with `listFiles` links are followed, class folders that are links too.
 *
 * @param endings wanted ones, with dot, lower case, as in ".png"
 * @throws DataError when there are no class folders, or one of them holds no file of these endings: models would be given a
 *   class that nothing shows
 */
export async function listClassFolders(folder: string, endings: readonly string[]): Promise<ClassFolders> {
  const classes: string[] = [];
  const outside = new Map<string, number>();
  for (const entry of await readFolder(folder)) {
    const path = join(folder, entry.name);
    const ignored = whyIgnored(entry.name);
    const kind = ignored === undefined ? await entryKind(entry, path) : undefined;
    if (kind === "folder") classes.push(entry.name);
    // Without it the labels of the classes behind it would be others.
    else if (kind === "broken link") {
      throw new DataError(`${path}: the link leads nowhere`, { hint: "Repair it, or remove it if no class is meant." });
    } else countLeftOut(outside, ignored ?? `${leftOutKind(entry.name)} outside of class folders`);
  }
  if (classes.length === 0) {
    throw new DataError(`${folder}: has no class folders`, {
      hint: "Put the files of each class into a folder of its own.",
    });
  }
  classes.sort();
  const files: string[] = [];
  const leftOut: LeftOut[] = [outside];
  for (const name of classes) {
    const path = join(folder, name);
    const below = await listFiles(path, { accept: (file) => endings.includes(endingOf(file)) });
    if (below.files.length === 0) {
      const others = describeLeftOut(below.leftOut);
      throw new DataError(
        `${path}: this class folder has no ${endings.join(", ")} files${others === undefined ? "" : `, only ${others}`}`,
        { hint: "Remove it if no class is meant: labels are positions in the list of class folders." },
      );
    }
    files.push(...below.files.map((file) => `${name}/${file}`));
    leftOut.push(below.leftOut);
  }
  return { classes, files, leftOut: addLeftOut(leftOut) };
}
