/** A file that its reader forgot to close, as that of a model without `dispose`, is closed without the warning that Node has for it. */
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, onTestFinished, test } from "vitest";
import { openFileSource } from "../../src/checkpoint/index.js";

const folder = temporaryFolder();

/** Collects garbage until `isDone`, for a while: when finalizers run is the engine's choice. */
async function collectUntil(isDone: () => boolean): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 200 && !isDone(); i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function isOpen(path: string): boolean {
  return readdirSync("/proc/self/fd").some((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`) === path;
    } catch {
      return false; // Closed meanwhile.
    }
  });
}

test.skipIf(process.platform !== "linux")("a forgotten file is closed, and nothing is said", async () => {
  const warnings: string[] = [];
  const listen = (warning: Error) => warnings.push(warning.message);
  process.on("warning", listen);
  onTestFinished(() => void process.off("warning", listen));
  const path = join(folder, "forgotten.bin");
  writeFileSync(path, "weights");

  const read = async () => (await openFileSource(path)).read(0, 7);
  expect(Buffer.from(await read()).toString()).toBe("weights");
  expect(isOpen(path)).toBe(true);
  await collectUntil(() => !isOpen(path));
  expect(isOpen(path)).toBe(false);
  expect(warnings.filter((text) => /garbage collection/.test(text))).toEqual([]);
});

test.skipIf(process.platform !== "linux")("a file that is being read isn't forgotten", async () => {
  const path = join(folder, "read.bin");
  writeFileSync(path, Buffer.alloc(1000, 7));
  const reads = Array.from({ length: 20 }, async () => (await openFileSource(path)).read(0, 1000));
  await collectUntil(() => !isOpen(path));
  for (const bytes of await Promise.all(reads)) expect(bytes.every((value) => value === 7)).toBe(true);
});
