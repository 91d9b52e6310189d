import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig, type ViteUserConfig } from "vitest/config";

const SOAK = "**/*.soak.test.ts";

/**
 * Which tests a whole run has: `DCAE_TESTS=ordinary` leaves the soak tests out, `DCAE_TESTS=soak` runs nothing else.
 * Without it a file is run when it is asked for, whatever its kind.
 */
function selection(): Pick<NonNullable<ViteUserConfig["test"]>, "include" | "exclude"> {
  const kind = process.env.DCAE_TESTS ?? "all";
  const exclude = ["**/node_modules/**"];
  if (kind === "soak") return { include: [SOAK], exclude };
  if (kind !== "all" && kind !== "ordinary") throw new Error(`DCAE_TESTS is "${kind}", not "ordinary" or "soak"`);
  return {
    include: ["test/**/*.test.ts", "src/**/*.test.ts"],
    exclude: kind === "ordinary" ? [...exclude, SOAK] : exclude,
  };
}

/**
 * Test configuration of one package. Tests run on the sources: `@dcae/<package>` and `@dcae/<package>/<area>` resolve
 * to that package's `src`, so a test never sees a stale build. tsconfig.paths.json says the same to the compiler.
 */
export function sourceConfig(configUrl: string, test: ViteUserConfig["test"] = {}): ViteUserConfig {
  const packages = fileURLToPath(new URL("./packages/", import.meta.url));
  return defineConfig({
    root: fileURLToPath(new URL(".", configUrl)),
    resolve: {
      alias: [
        { find: /^@dcae\/test-support\/([a-z-]+)$/, replacement: `${packages}test-support/src/$1.ts` },
        { find: /^@dcae\/([a-z-]+)$/, replacement: `${packages}$1/src/index.ts` },
        { find: /^@dcae\/([a-z-]+)\/([a-z-]+)$/, replacement: `${packages}$1/src/$2/index.ts` },
      ],
    },
    test: {
      ...selection(),
      // A test that asserted nothing has not passed: its loop was empty, or its callback never ran.
      expect: { requireAssertions: true },
      environment: "node",
      // Loading the sources again for each file would take longer than most files do.
      isolate: false,
      setupFiles: [fileURLToPath(new URL("./vitest.setup.ts", import.meta.url))],
      // Some tests load ONNX Runtime by themselves: without its telemetry, on Windows too (see core's quiet-runtime.node.ts).
      env: { ORT_DISABLE_TELEMETRY: "1", ORT_RUNNING_UNIT_TESTS: "1" },
      // Vitest leaves one core idle, which is half of a machine with two.
      maxWorkers: availableParallelism(),
      // Only what says that a test hangs, never how long it takes: the machine may be busy with something else.
      testTimeout: 600_000,
      hookTimeout: 600_000,
      ...test,
    },
  });
}
