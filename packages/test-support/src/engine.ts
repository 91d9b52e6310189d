/** One engine for the tests of a file. */
import { createEngine, type Engine, type EngineOptions } from "@dcae/core/runtime";
import { afterAll, beforeAll } from "vitest";

/**
 * Starts an engine before the file's tests and ends it after them. To be called at the top level of the file (or of a describe);
 * what it returns can be used inside of tests.
 *
 * @param options the CPU, one thread and programs as they are written, where they don't say otherwise: results must not depend on which
 *   form is faster on a machine
 */
export function useEngine(options: EngineOptions = {}): Engine {
  let started: Engine | undefined;
  beforeAll(async () => {
    const form = options.form === undefined ? { optimize: false } : {};
    started = await createEngine({ device: "cpu", threads: 1, ...form, ...options });
  });
  afterAll(() => started?.dispose());
  return new Proxy({} as Engine, {
    get(_, key) {
      if (started === undefined) throw new Error("the engine is used outside of a test");
      const value = Reflect.get(started, key);
      return typeof value === "function" ? value.bind(started) : value;
    },
  });
}
