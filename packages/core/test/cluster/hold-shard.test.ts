/** Parts of a job: one process each, others wait, and folders that are divided in two ways are refused. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { holdLock, holdShard } from "../../src/cluster/hold-shard.node.js";
import { ConfigError } from "../../src/errors.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

test("who comes second waits, and then finds the work done", async () => {
  const order: string[] = [];
  let end = () => {};
  const finished = new Promise<void>((resolve) => {
    end = resolve;
  });
  const first = holdShard(at("job"), { index: 2, count: 8 }, {}, async () => {
    order.push("first begins");
    await finished;
    order.push("first ends");
  });
  await expect.poll(() => order).toEqual(["first begins"]);
  const onWait = (owner: string) => {
    order.push(`waits for ${owner.replace(/ on .*/, "")}`);
    end();
  };
  await holdShard(at("job"), { index: 2, count: 8 }, { onWait }, async () => void order.push("second"));
  await first;
  expect(order).toEqual(["first begins", `waits for process ${process.pid}`, "first ends", "second"]);
  expect(await readdir(at("job"))).toEqual([]);
});

test("other parts of the same count go on beside it", async () => {
  await holdShard(at("beside"), { index: 0, count: 2 }, {}, () =>
    holdShard(at("beside"), { index: 1, count: 2 }, {}, async () => {
      expect(await readdir(at("beside"))).toEqual([".shard-1-of-2.lock", ".shard-2-of-2.lock"]);
    }),
  );
});

test("another count is refused while its process works, and taken for gone where it was killed", async () => {
  await holdShard(at("counts"), { index: 0, count: 4 }, {}, async () => {
    const other = holdShard(at("counts"), { index: 2, count: 8 }, {}, async () => undefined);
    await expect(other).rejects.toThrow(ConfigError);
    await expect(other).rejects.toThrow(/counts: shard 3\/8 doesn't fit: process \d+ on .* works on 1\/4 there/);
  });
  await writeFile(
    join(at("counts"), ".shard-1-of-4.lock"),
    JSON.stringify({ pid: 2 ** 22 + 1, host: "", started: "1" }),
  );
  await expect(holdShard(at("counts"), { index: 2, count: 8 }, {}, async () => undefined)).rejects.toThrow(
    /on {2}works/,
  );
  await writeFile(join(at("counts"), ".shard-1-of-4.lock"), "");
  await holdShard(at("counts"), { index: 2, count: 8 }, {}, async () => undefined);
  expect(await readdir(at("counts"))).toEqual([]);
});

test("waiting ends with the signal, and the lock of who had it stays", async () => {
  const controller = new AbortController();
  await holdLock(join(at("aborted"), ".join.lock"), {}, async () => {
    const onWait = () => controller.abort(new Error("stopped"));
    const waiting = holdLock(
      join(at("aborted"), ".join.lock"),
      { onWait, signal: controller.signal },
      async () => undefined,
    );
    await expect(waiting).rejects.toThrow("stopped");
    expect(await readdir(at("aborted"))).toEqual([".join.lock"]);
  });
});

test.each([
  [-1, 2],
  [2, 2],
  [0.5, 2],
])("part %s of %s doesn't exist", async (index, count) => {
  await expect(holdShard(at("none"), { index, count }, {}, async () => undefined)).rejects.toThrow(
    /index must be from 0/,
  );
});
