/** Renaming and removing what something else has open for a moment, as on Windows. */
import { expect, test } from "vitest";
import { removeFile } from "../../src/checkpoint/remove-file.node.js";
import { renameFile } from "../../src/checkpoint/rename-file.node.js";

/** Fails the first times with `code`. */
function failing(times: number, code: string) {
  const calls: (readonly [string, string])[] = [];
  const move = async (from: unknown, to: unknown) => {
    calls.push([String(from), String(to)]);
    if (calls.length <= times) throw Object.assign(new Error(code), { code });
  };
  return { calls, move };
}

test.each(["EPERM", "EACCES", "EBUSY"])("%s on Windows: tried again until it is free", async (code) => {
  const { calls, move } = failing(2, code);
  await renameFile("a", "b", { platform: "win32", move, pauses: [0, 0, 0] });
  expect(calls).toEqual([
    ["a", "b"],
    ["a", "b"],
    ["a", "b"],
  ]);
});

test("what stays in use is an error in the end", async () => {
  const { calls, move } = failing(9, "EPERM");
  await expect(renameFile("a", "b", { platform: "win32", move, pauses: [0, 0] })).rejects.toThrow("EPERM");
  expect(calls).toHaveLength(3);
});

test.each([
  ["win32", "ENOENT"],
  ["linux", "EPERM"],
  ["darwin", "EACCES"],
] as const)("%s, %s: an error at once", async (platform, code) => {
  const { calls, move } = failing(1, code);
  await expect(renameFile("a", "b", { platform, move })).rejects.toThrow(code);
  expect(calls).toHaveLength(1);
});

test("removing waits in the same way, and takes folders with it", async () => {
  const calls: unknown[] = [];
  const remove = async (...given: unknown[]) => {
    calls.push(given);
    if (calls.length < 3) throw Object.assign(new Error("EBUSY"), { code: "EBUSY" });
  };
  await removeFile("a", { platform: "win32", remove, pauses: [0, 0] });
  expect(calls).toEqual(Array(3).fill(["a", { recursive: true, force: true }]));
  await expect(
    removeFile("a", { platform: "linux", remove: async () => Promise.reject(new Error("EBUSY")) }),
  ).rejects.toThrow("EBUSY");
});
