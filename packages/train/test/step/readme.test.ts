/** The README and the documentation name what is there: every name that their programs import is one of its entry. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import * as root from "../../src/index.js";
import * as scenes from "../../src/scenes/index.js";
import * as step from "../../src/step/index.js";

const ENTRIES = new Map<string, object>([
  ["@dcae/train", root],
  ["@dcae/train/scenes", scenes],
  ["@dcae/train/step", step],
]);

test.each(["../../README.md", "../../../../apps/docs/training.md"])("%s", async (file) => {
  const text = await readFile(new URL(file, import.meta.url), "utf8");
  const code = [...text.matchAll(/```ts(?: no-run)?\n(.*?)```/gs)].map(([, block]) => block as string);
  const used = code.flatMap((block) => [
    ...[...block.matchAll(/^import \{(.*)\} from "(.*)";/gm)].flatMap(([, names, from]) =>
      (names as string).split(",").map((name) => [from as string, name.trim()] as const),
    ),
    ...[...block.matchAll(/^import \* as (\w+) from "(.*)";/gm)].flatMap(([, alias, from]) =>
      [...block.matchAll(new RegExp(`\\b${alias}\\.(\\w+)`, "g"))].map(
        ([, name]) => [from as string, name as string] as const,
      ),
    ),
  ]);
  const ours = used.filter(([from]) => ENTRIES.has(from));
  expect(ours.length).toBeGreaterThan(0);
  expect(ours.filter(([from, name]) => !(name in (ENTRIES.get(from) as object)))).toEqual([]);
});
