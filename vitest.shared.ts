import { fileURLToPath } from "node:url";
import { defineConfig, type ViteUserConfig } from "vitest/config";

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
        { find: /^@dcae\/([a-z]+)$/, replacement: `${packages}$1/src/index.ts` },
        { find: /^@dcae\/([a-z]+)\/([a-z]+)$/, replacement: `${packages}$1/src/$2/index.ts` },
      ],
    },
    test: {
      include: ["test/**/*.test.ts", "src/**/*.test.ts"],
      environment: "node",
      testTimeout: 60_000,
      hookTimeout: 60_000,
      ...test,
    },
  });
}
