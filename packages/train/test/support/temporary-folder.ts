/** A folder for the tests of a file, removed afterwards. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "dcae-train-"));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
