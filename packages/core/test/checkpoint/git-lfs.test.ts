/** A pointer of Git LFS in place of a file: every reader says so. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { openFileSource } from "../../src/checkpoint/file-source.node.js";
import { readNpyFile } from "../../src/checkpoint/npy/npy-file.node.js";
import { openModel, openTorchFile } from "../../src/checkpoint/open-model.node.js";
import { openSafetensorsFile, openShardedFile } from "../../src/checkpoint/safetensors/file.node.js";
import { readZipDirectory } from "../../src/checkpoint/zip-directory.js";
import { CheckpointError, DataError } from "../../src/errors.js";

const folder = temporaryFolder();
const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0a".repeat(32)}\nsize 337150168\n`;
mkdirSync(join(folder, "model"));
for (const name of ["a.safetensors", "a.safetensors.index.json", "a.pth", "a.npy", "a.npz", "model/config.json"]) {
  writeFileSync(join(folder, name), pointer);
}
writeFileSync(join(folder, "model", "model.safetensors"), pointer);

test.each([
  ["a.safetensors", openSafetensorsFile, CheckpointError],
  ["a.safetensors.index.json", openShardedFile, CheckpointError],
  ["a.pth", openTorchFile, CheckpointError],
  ["a.npy", readNpyFile, DataError],
  ["a.npz", async (path: string) => readZipDirectory(await openFileSource(path)), DataError],
  ["model", openModel, CheckpointError],
] as const)("%s", async (name, open, ErrorType) => {
  const error = await open(join(folder, name)).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ErrorType);
  expect((error as CheckpointError).message).toMatch(/: a pointer of Git LFS, not the file itself$/);
  expect((error as CheckpointError).hint).toContain("git lfs pull");
});
