import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** All packages in one run, so that every core has work until the end. `scripts/test.mjs` starts it. */
export default defineConfig({
  test: { projects: ["packages/*/vitest.config.ts"], maxWorkers: availableParallelism() },
});
