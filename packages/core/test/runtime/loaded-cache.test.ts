/** What stays loaded, what is freed for it, and when. */
import { expect, test } from "vitest";
import { createLoadedCache } from "../../src/runtime/loaded-cache.js";

function logged(limit: number) {
  const log: string[] = [];
  const cache = createLoadedCache<string>({
    name: "the letters",
    limit,
    free: async (letter) => log.push(`free ${letter}`),
  });
  async function load(letter: string): Promise<string> {
    log.push(`load ${letter}`);
    if (letter === "bad") throw new Error("no such letter");
    return letter;
  }
  const use = (letter: string) =>
    cache.use(
      letter,
      () => load(letter),
      async (loaded) => loaded,
    );
  return { cache, log, use };
}

test("the least recently used thing is freed before another is loaded", async () => {
  const { cache, log, use } = logged(2);
  for (const letter of ["a", "b", "a", "c", "b"]) expect(await use(letter)).toBe(letter);
  expect(log).toEqual(["load a", "load b", "free b", "load c", "free a", "load b"]);
  await cache.dispose();
  expect(log.slice(-2).sort()).toEqual(["free b", "free c"]);
  await expect(use("a")).rejects.toThrow("the letters: can't be used, it was disposed");
});

test("calls that are started at once load each thing once, and nothing is freed under a call", async () => {
  const { cache, log, use } = logged(1);
  const calls = ["a", "a", "b", "b"].map(use);
  const end = cache.dispose();
  await Promise.all([...calls, end]);
  expect(log).toEqual(["load a", "free a", "load b", "free b"]);
});

test("what couldn't be loaded isn't kept, and doesn't stop later calls", async () => {
  const { log, use } = logged(2);
  await expect(use("bad")).rejects.toThrow("no such letter");
  await expect(use("bad")).rejects.toThrow("no such letter");
  expect(await use("a")).toBe("a");
  expect(log).toEqual(["load bad", "load bad", "load a"]);
});
