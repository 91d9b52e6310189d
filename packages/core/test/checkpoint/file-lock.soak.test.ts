/** Races for a lock that are rare: many rounds of many. */
import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { type FileLock, takeLock } from "../../src/checkpoint/file-lock.node.js";

const folder = temporaryFolder();
const GONE = JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), started: "1" });
const isLock = (result: unknown): result is FileLock =>
  typeof result === "object" && result !== null && "check" in result;

async function stale(round: string): Promise<string> {
  const path = join(folder, round, "job.lock");
  await mkdir(join(folder, round));
  await writeFile(path, GONE);
  return path;
}

test("the lock of a process that is gone goes to one of many who find it at once, in each of many rounds", async () => {
  const winners: number[] = [];
  for (let round = 0; round < 80; round++) {
    const path = await stale(`round-${round}`);
    const won = (await Promise.all(Array.from({ length: 24 }, () => takeLock(path)))).filter(isLock);
    winners.push(won.length);
    for (const lock of won) await lock.release();
  }
  expect(winners).toEqual(winners.map(() => 1));
});

test("a process that died while it removed a lock keeps nobody from it for long", async () => {
  const path = await stale("died");
  // Its turn is known by the content of the lock: the one file that appears while another removes it.
  const seen = new Set<string>();
  let isDone = false;
  const watch = (async () => {
    while (!isDone) for (const name of await readdir(join(folder, "died"))) seen.add(name);
  })();
  const first = await takeLock(path);
  if (isLock(first)) await first.release();
  isDone = true;
  await watch;
  for (const name of seen) {
    if (name === "job.lock") continue;
    await writeFile(join(folder, "died", name), "");
    await utimes(join(folder, "died", name), 1, 1);
  }
  await writeFile(path, GONE);
  const lock = await takeLock(path);
  expect(isLock(lock)).toBe(true);
  if (isLock(lock)) await lock.release();
  expect(await readdir(join(folder, "died"))).toEqual([]);
});
