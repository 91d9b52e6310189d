/** JSON files of users and strangers: what can't be read is refused in the caller's kind of error, with the hint. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { readJson } from "../../src/checkpoint/file-source.node.js";
import { CheckpointError, ConfigError, DataError } from "../../src/errors.js";

const folder = temporaryFolder();
const path = join(folder, "config.json");

test.each([
  ["nothing", "", /config\.json isn't valid JSON: /],
  ["half of it", '{"a": [1', /config\.json isn't valid JSON: /],
  ["bytes that are no text", "\xff\xfe{}", /config\.json isn't UTF-8 text/],
  ["a key twice", '{"a": {"b": 1, "b": 2}}', /config\.json has the key "b" twice/],
  ["lists in lists", `${"[".repeat(1e5)}${"]".repeat(1e5)}`, /config\.json is nested deeper than 100 levels/],
  ["more than such files have", `"${"a".repeat(1e6)}"`, /config\.json: 1000002 bytes is too large/],
])("%s", async (_, content, message) => {
  writeFileSync(path, Buffer.from(content, "latin1"));
  for (const ErrorType of [ConfigError, DataError, CheckpointError]) {
    const error = await readJson(path, 5e5, ErrorType).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ErrorType);
    expect((error as Error).message).toMatch(message);
  }
});

test("a pointer of Git LFS: the hint says how to get the file", async () => {
  writeFileSync(path, `version https://git-lfs.github.com/spec/v1\noid sha256:${"0a".repeat(32)}\nsize 337\n`);
  await expect(readJson(path, 1e6, ConfigError)).rejects.toMatchObject({
    name: "ConfigError",
    message: `${path}: a pointer of Git LFS, not the file itself`,
    hint: expect.stringContaining("git lfs pull"),
  });
});

test("a file that isn't there", async () => {
  await expect(readJson(join(folder, "absent.json"), 1e6)).rejects.toThrow(DataError);
});

test("a byte order mark, which some editors write, is passed over", async () => {
  writeFileSync(path, '\ufeff{"a": [1, null]}');
  expect(await readJson(path, 1e6)).toEqual({ a: [1, null] });
});
