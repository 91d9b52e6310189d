/** The README is the reference: it has a section for every command, which names all of its options, and no others. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { COMMAND_TREE } from "./support/command-tree.js";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
// Groups and single commands are of the second level, commands of a group of the third.
const [common = "", ...sections] = readme.split(/^#{2,3} dcae /m);

const flagsIn = (text: string) => new Set(text.match(/--[a-z][a-z0-9-]*/g));

test("every command has a section, in the order of the help", () => {
  expect(sections.map((section) => section.split("\n")[0])).toEqual(COMMAND_TREE.map(({ path }) => path));
});

describe.each(COMMAND_TREE)("$path", ({ path, command }) => {
  const section = sections.find((text) => text.startsWith(`${path}\n`)) ?? "";
  const options = command.options.map(({ long }) => long as string);

  test("every option is explained, here or in the common part", () => {
    const explained = new Set([...flagsIn(section), ...flagsIn(common)]);
    expect(options.filter((flag) => !explained.has(flag))).toEqual([]);
  });

  test("no option is invented", () => {
    // A group explains what its commands have in common.
    const known = [options, ...command.commands.map((child) => child.options.map(({ long }) => long as string))].flat();
    expect([...flagsIn(section)].filter((flag) => !known.includes(flag))).toEqual([]);
  });
});
