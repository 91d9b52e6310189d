import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, it } from "vitest";
import { writeDirectoryAtomic, writeFileAtomic } from "../../src/checkpoint/atomic-file.node.js";
import { fileError } from "../../src/checkpoint/file-source.node.js";
import { CheckpointError, DataError } from "../../src/errors.js";

const root = temporaryFolder();
const bytes = (text: string) => new TextEncoder().encode(text);
let count = 0;
function newFolder(): string {
  const folder = join(root, `case-${count++}`);
  mkdirSync(folder);
  return folder;
}

/** The error a full disk gives: /dev/full answers every write with a real ENOSPC. */
async function writeToFullDisk(): Promise<void> {
  if (!existsSync("/dev/full")) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
  const device = await open("/dev/full", "w");
  try {
    await device.write(bytes("x"));
  } finally {
    await device.close();
  }
}

describe("writeFileAtomic", () => {
  it("shows the file only when it is complete, and gives the result of fill", async () => {
    const folder = newFolder();
    const path = join(folder, "a.bin");
    const result = await writeFileAtomic(path, async (file) => {
      await file.write(bytes("one "));
      expect(existsSync(path)).toBe(false);
      expect(readdirSync(folder)).toEqual([expect.stringMatching(/^\.a\.bin\.[0-9a-f]{8}-\d+-\d+-[0-9a-f]{12}\.tmp$/)]);
      await file.write(bytes("two"));
      return file.position;
    });
    expect(result).toBe(7);
    expect(readFileSync(path, "utf8")).toBe("one two");
    expect(readdirSync(folder)).toEqual(["a.bin"]);
  });

  it("replaces an older file in one step", async () => {
    const path = join(newFolder(), "a.bin");
    writeFileSync(path, "old and longer");
    await writeFileAtomic(path, async (file) => {
      await file.write(bytes("new"));
      expect(readFileSync(path, "utf8")).toBe("old and longer");
    });
    expect(readFileSync(path, "utf8")).toBe("new");
  });

  it("writes through a symbolic link to its file", async () => {
    const folder = newFolder();
    const elsewhere = newFolder();
    writeFileSync(join(elsewhere, "real"), "old");
    symlinkSync(join(elsewhere, "real"), join(folder, "link"));
    await writeFileAtomic(join(folder, "link"), (file) => file.write(bytes("new")));
    expect(readFileSync(join(elsewhere, "real"), "utf8")).toBe("new");
    expect(readdirSync(elsewhere)).toEqual(["real"]);
  });

  it("takes long names and empty content", async () => {
    const folder = newFolder();
    const name = "n".repeat(250);
    await writeFileAtomic(join(folder, name), async () => {});
    expect(readFileSync(join(folder, name))).toHaveLength(0);
  });

  it("a full disk in the middle: one line, nothing left, the old file kept", async () => {
    const folder = newFolder();
    const path = join(folder, "a.bin");
    writeFileSync(path, "old");
    const error = await writeFileAtomic(path, async (file) => {
      await file.write(bytes("half of it"));
      await writeToFullDisk();
    }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).message).toBe(`${path}: can't write: the disk is full (ENOSPC)`);
    expect((error as DataError).hint).toMatch(/space/);
    expect(readdirSync(folder)).toEqual(["a.bin"]);
    expect(readFileSync(path, "utf8")).toBe("old");
  });

  it("errors of the caller pass through unchanged and leave nothing", async () => {
    const folder = newFolder();
    for (const failure of [new Error("defect"), new CheckpointError("known"), "text", undefined]) {
      const error = await writeFileAtomic(join(folder, "a"), () => Promise.reject(failure)).catch((reason) => reason);
      expect(error).toBe(failure);
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each<[string, (folder: string) => string, RegExp]>([
    ["a folder as target", (folder) => folder, /it is a folder, not a file/],
    ["a missing folder", (folder) => join(folder, "no", "a"), /no such file or folder/],
    ["a path through a file", (folder) => join(folder, "file", "a"), /a part of the path is a file/],
    ["a device", () => "/dev/null", /it is a device, not a file/],
  ])("%s", async (_, pathIn, message) => {
    const folder = newFolder();
    writeFileSync(join(folder, "file"), "");
    let called = false;
    const attempt = writeFileAtomic(pathIn(folder), async () => {
      called = true;
    });
    await expect(attempt).rejects.toThrow(DataError);
    await expect(attempt).rejects.toThrow(message);
    expect(called).toBe(false);
    expect(readdirSync(folder)).toEqual(["file"]);
  });

  it("parallel writers of one name leave one whole file", async () => {
    const folder = newFolder();
    const path = join(folder, "a");
    const texts = Array.from({ length: 8 }, (_, i) => String(i).repeat(100_000));
    await Promise.all(texts.map((text) => writeFileAtomic(path, (file) => file.write(bytes(text)))));
    expect(texts).toContain(readFileSync(path, "utf8"));
    expect(readdirSync(folder)).toEqual(["a"]);
  });
});

describe("fileError", () => {
  it("explains permission errors, keeps the cause, and passes others through", () => {
    const cause = Object.assign(new Error("EACCES: permission denied, open"), { code: "EACCES" });
    const error = fileError(cause, "/x", "read", CheckpointError);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as CheckpointError).message).toBe("/x: can't read: permission denied (EACCES)");
    expect((error as CheckpointError).cause).toBe(cause);
    const unknown = Object.assign(new Error("what"), { code: "EWHATEVER" });
    expect((fileError(unknown, "/x", "read") as Error).message).toBe("/x: can't read: what (EWHATEVER)");
    const defect = Object.assign(new TypeError("bad argument"), { code: "ERR_INVALID_ARG_TYPE" });
    expect(fileError(defect, "/x", "read")).toBe(defect);
  });
});

describe("writeDirectoryAtomic", () => {
  const fill = (files: Readonly<Record<string, string>>) => async (folder: string) => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  };

  it("makes a new folder with its parents, in one step", async () => {
    const path = join(newFolder(), "a", "b", "model");
    await writeDirectoryAtomic(path, async (folder) => {
      expect(existsSync(path)).toBe(false);
      mkdirSync(join(folder, "vae"));
      writeFileSync(join(folder, "vae", "config.json"), "{}");
    });
    expect(readFileSync(join(path, "vae", "config.json"), "utf8")).toBe("{}");
    expect(readdirSync(join(path, ".."))).toEqual(["model"]);
  });

  it("fills an empty folder, refuses one with content", async () => {
    const path = newFolder();
    await writeDirectoryAtomic(path, fill({ a: "1" }));
    expect(readdirSync(path)).toEqual(["a"]);
    await expect(writeDirectoryAtomic(path, fill({ a: "2" }))).rejects.toThrow(/the folder isn't empty/);
    expect(readFileSync(join(path, "a"), "utf8")).toBe("1");
    expect(readdirSync(join(path, "..")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("overwrites as a whole: old weights go, files of others stay", async () => {
    const path = newFolder();
    await fill({
      "config.json": "old",
      "model-00001-of-00002.safetensors": "old",
      "model.safetensors.index.json": "old",
      "README.md": "mine",
    })(path);
    await writeDirectoryAtomic(path, fill({ "config.json": "new", "model.safetensors": "new" }), { overwrite: true });
    expect(readdirSync(path).sort()).toEqual(["README.md", "config.json", "model.safetensors"]);
    expect(readFileSync(join(path, "config.json"), "utf8")).toBe("new");
    expect(readdirSync(join(path, "..")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("a failure leaves the old folder and nothing else", async () => {
    const parent = newFolder();
    const path = join(parent, "model");
    const failing = async (folder: string) => {
      await fill({ "config.json": "new" })(folder);
      await writeToFullDisk();
    };
    await expect(writeDirectoryAtomic(path, failing)).rejects.toThrow(/the disk is full/);
    expect(readdirSync(parent)).toEqual([]);
    await writeDirectoryAtomic(path, fill({ "config.json": "old" }));
    await expect(writeDirectoryAtomic(path, failing, { overwrite: true })).rejects.toThrow(DataError);
    expect(readdirSync(parent)).toEqual(["model"]);
    expect(readFileSync(join(path, "config.json"), "utf8")).toBe("old");
  });

  it("names files by their final place, not by that of the temporary folder", async () => {
    const path = join(newFolder(), "model");
    const error = await writeDirectoryAtomic(path, (folder) =>
      writeFileAtomic(join(folder, "model.safetensors"), writeToFullDisk),
    ).catch((reason: unknown) => reason as DataError);
    expect((error as DataError).message).toBe(`${path}/model.safetensors: can't write: the disk is full (ENOSPC)`);
    expect((error as DataError).hint).toMatch(/space/);
  });

  it("refuses a file as target", async () => {
    const path = join(newFolder(), "file");
    writeFileSync(path, "x");
    await expect(writeDirectoryAtomic(path, fill({}), { overwrite: true })).rejects.toThrow(
      /it is a file, not a folder/,
    );
  });
});
