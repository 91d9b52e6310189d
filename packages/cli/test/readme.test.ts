/** The README is the reference: it has a section for every command, which names all of its options, and no others. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createCliIo } from "../src/cli-io.js";
import { COMMANDS } from "../src/commands/index.js";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const [common = "", ...sections] = readme.split(/^## dcae /m);
const commands = COMMANDS.map((create) => create(createCliIo({ stdout: () => {}, stderr: () => {} })));

const flagsIn = (text: string) => new Set(text.match(/--[a-z][a-z-]+/g));

test("every command has a section, in the order of the help", () => {
  expect(sections.map((section) => section.split("\n")[0])).toEqual(commands.map((command) => command.name()));
});

describe.each(commands.map((command) => [command.name(), command] as const))("%s", (name, command) => {
  const section = sections.find((text) => text.startsWith(`${name}\n`)) ?? "";
  const options = command.options.map(({ long }) => long as string);

  test("every option is explained, here or in the common part", () => {
    const explained = new Set([...flagsIn(section), ...flagsIn(common)]);
    expect(options.filter((flag) => !explained.has(flag))).toEqual([]);
  });

  test("no option is invented", () => {
    expect([...flagsIn(section)].filter((flag) => !options.includes(flag))).toEqual([]);
  });
});
