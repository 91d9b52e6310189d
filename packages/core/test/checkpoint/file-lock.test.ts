/** Locks among processes and machines: who gets them, when one that is gone loses them, and where they don't work. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, test } from "vitest";
import { checkLocking, type FileLock, lockOwner, takeLock } from "../../src/checkpoint/file-lock.node.js";
import { DataError } from "../../src/errors.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

async function taken(path: string, options = {}): Promise<FileLock> {
  const lock = await takeLock(path, options);
  if (lock === "unknown" || "pid" in lock) throw new Error(`held by ${JSON.stringify(lock)}`);
  return lock;
}

/** What a process of another machine wrote, `age` seconds ago. */
async function foreign(path: string, age: number, expires?: number) {
  await rm(path, { force: true });
  await writeFile(path, JSON.stringify({ pid: 7, host: "node-9", started: "1", numbers: "0123abcd", expires }));
  const then = Date.now() / 1000 - age;
  await utimes(path, then, then);
}

describe("a lock", () => {
  test("is one process's until it is given back", async () => {
    const path = at("a.lock");
    const lock = await taken(path);
    expect(await takeLock(path)).toMatchObject({ pid: process.pid, host: hostname() });
    expect(await lockOwner(path)).toMatchObject({ pid: process.pid });
    expect(await lock.check()).toBe(true);
    await lock.release();
    expect(await lockOwner(path)).toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
  });

  test("of another machine holds while it gives signs of life, and no longer", async () => {
    const path = at("b.lock");
    await foreign(path, 50, 60);
    expect(await takeLock(path)).toMatchObject({ pid: 7, host: "node-9" });
    await foreign(path, 70, 60);
    expect(await lockOwner(path)).toBeUndefined();
    const lock = await taken(path);
    expect(await readFile(path, "utf8")).toContain(`"pid":${process.pid}`);
    await lock.release();
  });

  test.runIf(process.platform === "linux")(
    "of a process that has ended holds no longer, though its parent never asks how",
    async () => {
      const path = at("z.lock");
      // The shell's child ends at once; what the shell becomes doesn't know that it has one.
      const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
      try {
        const pid = Number(String((await once(parent.stdout, "data"))[0]));
        const statOf = () => readFile(`/proc/${pid}/stat`, "utf8");
        while (!(await statOf()).includes(") Z ")) await wait(5);
        const own = await taken(path);
        const text = await readFile(path, "utf8");
        await own.release();
        const started = (await statOf()).split(") ")[1]!.split(" ")[19]!;
        await writeFile(path, JSON.stringify({ ...JSON.parse(text), pid, started }));
        expect(await lockOwner(path)).toBeUndefined();
        await (await taken(path)).release();
      } finally {
        parent.kill();
      }
    },
  );

  test("of an earlier version on another machine, which gave no signs, holds for ever", async () => {
    const path = at("c.lock");
    await foreign(path, 1e6);
    expect(await takeLock(path)).toMatchObject({ host: "node-9" });
  });

  test("gives signs of life, and none over another's", async () => {
    const path = at("d.lock");
    const lock = await taken(path, { beat: 0.01 });
    const long = new Date(Date.now() - 3600_000);
    await utimes(path, long, long);
    for (let i = 0; i < 500 && (await stat(path)).mtimeMs < long.getTime() + 1000; i++) await wait(10);
    expect((await stat(path)).mtimeMs).toBeGreaterThan(long.getTime() + 1000);
    await foreign(path, 0, 60);
    const other = await readFile(path, "utf8");
    await wait(50);
    expect(await readFile(path, "utf8")).toBe(other);
    expect(await lock.check()).toBe(false);
    await lock.release();
    expect(await readFile(path, "utf8")).toBe(other);
  });

  test("isn't given where a file can be made twice", async () => {
    await expect(checkLocking(at("e.lock"), async () => true)).rejects.toThrow(DataError);
    await expect(checkLocking(at("e.lock"), async () => true)).rejects.toThrow(/locks don't work on this file system/);
    await checkLocking(at("e.lock"));
    expect((await readdir(folder)).filter((name) => name.startsWith("e.lock"))).toEqual([]);
  });

  test("that can't be written says so in one line", async () => {
    await writeFile(at("file"), "");
    await expect(takeLock(at("file", "x.lock"))).rejects.toThrow(/file/);
    await expect(takeLock(at("file", "x.lock"))).rejects.toThrow(DataError);
  });
});
