/** Where results in a folder go: `<out>/<name of the item><ending>`, checked before any work is done. */
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "@dcae/core";
import type { Item } from "./item.js";

/**
 * Paths of the results, per item in the order of `endings`.
 *
 * @throws DataError when two items would share a result, or a result would replace an input
 */
export async function resultPaths(
  items: readonly Item[],
  out: string,
  endings: readonly string[],
): Promise<ReadonlyMap<Item, readonly string[]>> {
  const owners = new Map<string, Item>();
  const inputs = new Set<string>();
  for (const { path } of items) inputs.add(await realpath(path).catch(() => path));
  const paths = new Map<Item, readonly string[]>();
  for (const item of items) {
    const results = endings.map((ending) => join(out, ...`${item.name}${ending}`.split("/")));
    for (const result of results) {
      // Some file systems ignore case.
      const key = result.toLowerCase();
      const other = owners.get(key);
      if (other !== undefined) {
        throw new DataError(`${other.source} and ${item.source} would both be written to ${result}`, {
          hint: "Rename one of them, or work on them one after the other with two folders.",
        });
      }
      owners.set(key, item);
      await refuseInput(result, inputs);
    }
    paths.set(item, results);
  }
  return paths;
}

/** @throws DataError when `result` is one of the files that are read */
export async function refuseInputs(result: string, items: readonly Item[]): Promise<void> {
  const inputs = await Promise.all(items.map(({ path }) => realpath(path).catch(() => path)));
  await refuseInput(result, new Set(inputs));
}

async function refuseInput(result: string, inputs: ReadonlySet<string>): Promise<void> {
  const existing = await realpath(result).catch(() => undefined);
  if (existing === undefined || !inputs.has(existing)) return;
  throw new DataError(`${result}: would replace an input`, { hint: "Choose another --out." });
}
