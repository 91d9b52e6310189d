/** `dcae bench autoencoder`: what is refused before anything is measured. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { failWith } from "./support/cli.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const quick = ["--in-process", "--iterations", "2", "--warmup", "1", "--threads", "1"];

test("what isn't there, and where nothing can be written, is said before anything is measured", async () => {
  expect(await failWith(1, "bench", "autoencoder", at("absent"), ...quick)).toMatch(/there is no such checkpoint here/);
  expect(await failWith(1, "bench", "autoencoder", "dc-ae-f32c32-in-1.1", ...quick)).toMatch(/did you mean/);
  const dcAe = await makeModel(folder, "dc-ae");
  writeFileSync(at("file"), "");
  const argv = ["bench", "autoencoder", dcAe, ...quick, "-o", at("file", "bench.json")];
  expect(await failWith(1, ...argv)).toMatch(/can't write/);
  expect(existsSync(at("file", "bench.json"))).toBe(false);
});
