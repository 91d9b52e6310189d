/** Trainings that are another training with changes: `{ "extends": "small-f32-scenes", "phases": { "phase1": { "steps": 500 } } }`. */
import { dirname, isAbsolute, join, resolve } from "node:path";
import { ConfigError } from "@dcae/core/graph";

type Node = Record<string, unknown>;

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value);

/** What was said of the base and isn't true of what extends it. */
const NOT_INHERITED = ["command", "expectedTime", "results"];

/**
 * `changes` on top of `base`: objects are merged, everything else is replaced. Items of a list are reached by their number or name, as in
 * settings. An object of another `kind` replaces the whole.
 */
function merge(base: unknown, changes: unknown, path: string): unknown {
  if (!isNode(changes)) return changes;
  if (Array.isArray(base)) {
    const items: unknown[] = [...base];
    for (const [key, value] of Object.entries(changes)) {
      const named = items.findIndex((item) => isNode(item) && item.name === key);
      const at = named === -1 && /^\d+$/.test(key) ? Number(key) : named;
      if (at === -1 || at >= items.length) {
        const names = items.map((item, i) => (isNode(item) && typeof item.name === "string" ? item.name : i));
        throw new ConfigError(`${path}: there is no "${key}"`, { hint: `There are ${names.join(", ")}.` });
      }
      items[at] = merge(items[at], value, `${path}.${key}`);
    }
    return items;
  }
  if (!isNode(base) || (changes.kind !== undefined && changes.kind !== base.kind)) return changes;
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(changes)) merged.set(key, merge(merged.get(key), value, `${path}.${key}`));
  return Object.fromEntries(merged);
}

/**
 * A training as written, with everything that it extends put in.
 *
 * @param config as JSON
 * @param path its file
 * @param read the JSON of another training; names that end in .json are files, relative to the one that names them
 * @throws ConfigError when trainings extend each other in a circle, or change what isn't there
 */
export async function extendConfig(
  config: unknown,
  path: string,
  read: (nameOrPath: string) => Promise<unknown>,
  seen: readonly string[] = [],
): Promise<unknown> {
  if (!isNode(config) || config.extends === undefined) return config;
  const { extends: name, ...changes } = config;
  if (typeof name !== "string" || name === "") {
    throw new ConfigError(`${path}: extends must be a recipe's name or a JSON file, got ${JSON.stringify(name)}`);
  }
  const isFile = /\.json$/i.test(name);
  const place = isFile && !isAbsolute(name) ? join(dirname(path), name) : name;
  const known = [...seen, resolve(path)];
  if (isFile && known.includes(resolve(place))) {
    throw new ConfigError(`${path}: extends ${name}, which extends it again`);
  }
  const base = await extendConfig(await read(place), place, read, known);
  const inherited = isNode(base) ? Object.entries(base).filter(([key]) => !NOT_INHERITED.includes(key)) : [];
  return merge(Object.fromEntries(inherited), changes, path);
}
