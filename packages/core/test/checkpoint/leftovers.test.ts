/** What a killed process left in a folder, the next one that writes there removes; what others are writing it leaves alone. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, it } from "vitest";
import { writeDirectoryAtomic, writeFileAtomic } from "../../src/checkpoint/atomic-file.node.js";
import { replacedName, temporaryName, temporaryStem } from "../../src/checkpoint/temporary-name.node.js";

const root = temporaryFolder();
let count = 0;
function newFolder(): string {
  const folder = join(root, `case-${count++}`);
  mkdirSync(folder);
  return folder;
}

/** A process that has ended. */
const ended = spawnSync(process.execPath, ["-e", ""]).pid;

/** A temporary name as another process would give it; without a number as this process gives it. */
function nameOf(target: string, pid: number = process.pid): string {
  return temporaryName(target).replace(/-\d+-(\d+)-/, `-${pid}-$1-`);
}

const writeText = (path: string, text = "new") =>
  writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(text)));

it("files, folders and links of processes that have ended go; all others stay", async () => {
  const folder = newFolder();
  writeFileSync(nameOf(join(folder, "a.npy"), ended), "half");
  mkdirSync(join(nameOf(join(folder, "model"), ended), "inside"), { recursive: true });
  symlinkSync("elsewhere", nameOf(join(folder, "link"), ended));
  const live = nameOf(join(folder, "b.npy"));
  writeFileSync(live, "being written");
  writeFileSync(join(folder, ".mine.0123456789ab.tmp"), "of another program");
  await writeText(join(folder, "c.npy"));
  expect(readdirSync(folder).sort()).toEqual([".mine.0123456789ab.tmp", basename(live), "c.npy"].sort());
});

it.runIf(process.platform === "linux")("a process number that was given again doesn't keep a file", async () => {
  const folder = newFolder();
  writeFileSync(temporaryName(join(folder, "a.npy")).replace(/-\d+-([0-9a-f]+\.tmp)$/, "-1-$1"), "half");
  await writeText(join(folder, "c.npy"));
  expect(readdirSync(folder)).toEqual(["c.npy"]);
});

it("of other machines only what hasn't changed for a day goes", async () => {
  const folder = newFolder();
  const [old, fresh] = ["old", "fresh"].map((name) =>
    temporaryName(join(folder, name)).replace(/\.[0-9a-f]{8}-/, ".00000000-"),
  ) as [string, string];
  for (const path of [old, fresh]) writeFileSync(path, "half");
  const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 3600;
  utimesSync(old, twoDaysAgo, twoDaysAgo);
  await writeText(join(folder, "c.npy"));
  expect(readdirSync(folder).sort()).toEqual([basename(fresh), "c.npy"].sort());
});

it("a name says what it was for", () => {
  expect(temporaryStem(basename(temporaryName("/x/step-00000006")))).toBe("step-00000006");
  expect(temporaryStem(basename(temporaryName(`/x/${"é".repeat(120)}.npy`)))).toBe("é".repeat(60));
  expect(temporaryStem(basename(replacedName("/x/model")))).toBeUndefined();
  expect(temporaryStem(".model.tmp")).toBeUndefined();
});

const fill = (text: string) => async (folder: string) => writeFileSync(join(folder, "config.json"), text);

it("a folder that was moved away and not replaced comes back, with what else was in it", async () => {
  const folder = newFolder();
  const target = join(folder, "model");
  await writeDirectoryAtomic(target, fill("old"));
  writeFileSync(join(target, "README.md"), "words");
  const moved = replacedName(target).replace(/-\d+-(\d+)-/, `-${ended}-$1-`);
  renameSync(target, moved);
  await expect(writeDirectoryAtomic(target, fill("new"))).rejects.toThrow("the folder isn't empty");
  expect(readFileSync(join(target, "config.json"), "utf8")).toBe("old");
  renameSync(target, moved);
  await writeDirectoryAtomic(target, fill("new"), { overwrite: true });
  expect(readdirSync(folder)).toEqual(["model"]);
  expect(readFileSync(join(target, "config.json"), "utf8")).toBe("new");
  expect(readFileSync(join(target, "README.md"), "utf8")).toBe("words");
});

it("a folder that was replaced by a process that died before it moved the other files gets them", async () => {
  const folder = newFolder();
  const target = join(folder, "model");
  const moved = replacedName(target).replace(/-\d+-(\d+)-/, `-${ended}-$1-`);
  mkdirSync(moved);
  writeFileSync(join(moved, "config.json"), "older");
  writeFileSync(join(moved, "README.md"), "words");
  await writeDirectoryAtomic(target, fill("x"), { overwrite: true });
  renameSync(target, join(folder, "aside"));
  mkdirSync(moved);
  writeFileSync(join(moved, "notes.txt"), "words");
  renameSync(join(folder, "aside"), target);
  await writeDirectoryAtomic(target, fill("new"), { overwrite: true });
  expect(readdirSync(folder)).toEqual(["model"]);
  expect(readdirSync(target).sort()).toEqual(["README.md", "config.json", "notes.txt"]);
});
