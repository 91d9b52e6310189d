/** Facts about files hold as long as the files don't change. */
import { stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { openFileFacts } from "../../src/runtime/file-facts.node.js";

const folder = temporaryFolder();
const [path, store] = [join(folder, "data"), join(folder, "facts.json")];
/** Facts about files that changed less than two seconds ago aren't kept. */
const REST_MS = 2100;

test("a file that rests is read once, a file that changed again", async () => {
  let reads = 0;
  const get = async () => {
    const facts = await openFileFacts(store);
    await facts.get(path, async () => `read ${++reads}`);
    const fact = await facts.get(path, async () => `read ${++reads}`);
    await facts.save();
    return fact;
  };
  await writeFile(path, "first");
  expect(await get()).toBe("read 2");
  await setTimeout(REST_MS);
  expect(await get()).toBe("read 3");
  expect(await get()).toBe("read 3");

  const { atime, mtime } = await stat(path);
  await writeFile(path, "other");
  await utimes(path, atime, mtime);
  expect(await get()).toBe("read 5");
});
