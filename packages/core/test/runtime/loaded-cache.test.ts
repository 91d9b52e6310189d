/** What stays loaded, what is freed for it, and when. */
import { expect, test } from "vitest";
import { initialWeights } from "../../src/checkpoint/index.js";
import { add, createProgram, input, Tensor } from "../../src/graph/index.js";
import type { Engine } from "../../src/runtime/engine.js";
import { createLoadedCache, createProgramCache } from "../../src/runtime/loaded-cache.js";

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
  const use = (letter: string, fits?: () => boolean) =>
    cache.use(
      letter,
      () => load(letter),
      async (loaded) => loaded,
      fits,
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
  const calls = ["a", "a", "b", "b"].map((letter) => use(letter));
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

test("what was used longest ago is freed until the next fits, or nothing is left to free", async () => {
  const { log, use } = logged(4);
  for (const letter of ["a", "b", "c"]) await use(letter);
  let freed = 0;
  expect(await use("d", () => freed++ === 2)).toBe("d");
  expect(log.slice(3)).toEqual(["free a", "free b", "load d"]);
  expect(await use("c", () => false)).toBe("c");
  expect(await use("e", () => false)).toBe("e");
  expect(log.slice(6)).toEqual(["free d", "free c", "load e"]);
});

test("programs make room for each other where free memory has none for both", async () => {
  const x = input("x", [1]);
  const log: string[] = [];
  let free = 2;
  const engine: Engine = {
    name: "counting",
    device: "cpu",
    fits: () => free > 0,
    async load({ name }) {
      log.push(`load ${name}`);
      free--;
      return {
        run: async ({ x: given }) => ({ y: given as Tensor }),
        async dispose() {
          log.push(`free ${name}`);
          free++;
        },
      };
    },
    createState: () => Promise.reject(new Error("none is needed")),
    dispose: async () => undefined,
  };
  const programs = createProgramCache(engine, "the programs", 3);
  const weights = initialWeights([], 0n);
  const run = (name: string) =>
    programs.run(name, () => createProgram(name, { y: add(x, 1) }), weights, { x: Tensor.float32([1], [1]) });
  for (const name of ["a", "b", "c", "c", "a"]) await run(name);
  expect(log).toEqual(["load a", "load b", "free a", "load c", "free b", "load a"]);
});
