/** Errors keep their names when an application is minified. */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect, test } from "vitest";
import type * as Errors from "../src/errors.js";

test("names survive minification", async () => {
  const entry = fileURLToPath(new URL("../src/errors.ts", import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  const code = Buffer.from(outputFiles[0]?.contents as Uint8Array).toString("base64");
  const errors = (await import(`data:text/javascript;base64,${code}`)) as typeof Errors;
  const names = ["DcaeError", "ShapeError", "ConfigError", "CheckpointError", "EngineError", "DataError"] as const;
  for (const name of names) {
    const error = new errors[name]("what");
    expect([error.name, String(error), error instanceof errors.DcaeError]).toEqual([name, `${name}: what`, true]);
  }
  expect(errors.ShapeError.name).not.toBe("ShapeError");
});
