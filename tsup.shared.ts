import { defineConfig, type Options } from "tsup";

/**
 * Build of one published package: ES modules and declarations, entries sharing chunks in the root of dist. The build
 * uses tsconfig.build.json, which has no path aliases: other packages of the workspace stay imports by name.
 */
export function library(options: Options): ReturnType<typeof defineConfig> {
  return defineConfig({
    format: "esm",
    target: "es2022",
    platform: "node",
    tsconfig: "tsconfig.build.json",
    // Declarations take most of a build, and only programs that are compiled against the packages need them.
    dts: process.env.DCAE_BUILD_TYPES !== "0",
    splitting: true,
    sourcemap: true,
    clean: true,
    treeshake: false,
    removeNodeProtocol: false,
    ...options,
  });
}
