/**
 * The README is the reference: it has a section for every command, which names all of its options, and no others. What other
 * pages show are command lines, too, and options that they speak of are there.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { commandOf } from "./support/command-of.js";
import { COMMAND_TREE } from "./support/command-tree.js";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
// Groups and single commands are of the second level, commands of a group of the third.
const [common = "", ...sections] = readme.split(/^#{2,3} dcae /m);

const paths = COMMAND_TREE.map(({ path }) => path);
const flagsIn = (text: string) => new Set(text.match(/--[a-z][a-z0-9-]*/g));

test("every command has a section, in the order of the help", () => {
  expect(sections.map((section) => section.split("\n")[0])).toEqual(paths);
});

/** The command lines in blocks for a shell, without "dcae" and what is said of them. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh|bash)\n(.*?)^```/gms)].map(([, block]) =>
    (block as string).replace(/\\\n\s*/g, " "),
  );
  return blocks.flatMap((block) =>
    [...block.matchAll(/^dcae (?!--)(.*?)(?: +# .*)?$/gm)].map(([, line]) => line as string),
  );
}

test("every example is a command line", async () => {
  const lines = commandLines(readme);
  expect(lines.length).toBeGreaterThan(paths.length);
  for (const line of lines) expect(paths).toContain(await commandOf(line));
});

const root = new URL("../../../", import.meta.url);
const allPages = [
  "README.md",
  "packages/cli/README.md",
  ...["core", "train", "diffusion", "eval"].map((name) => `packages/${name}/README.md`),
  ...readdirSync(new URL("apps/docs", root))
    .filter((file) => file.endsWith(".md"))
    .map((file) => `apps/docs/${file}`),
];
const pages = allPages
  .map((page) => [page, commandLines(readFileSync(new URL(page, root), "utf8"))] as const)
  .filter(([, lines]) => lines.length > 0);

test("the page about commands names them all", () => {
  const page = readFileSync(new URL("apps/docs/command-line.md", root), "utf8");
  const first = new Set(paths.map((path) => `dcae ${path.split(" ")[0]}`));
  expect([...first].filter((command) => !page.includes(`| \`${command}\` `))).toEqual([]);
});

test.each(pages)("every command in %s is one", async (_page, lines) => {
  for (const line of lines) expect(paths, line).toContain(await commandOf(line));
});

/** Options of other programs that pages speak of as well: npm, Slurm, MPI. */
const OTHERS = ["--global", "--ignore-scripts", "--omit", "--signal", "--array", "--mpi", "--bind-to"];

/** What stands in the text as code, outside of blocks that aren't for a shell. */
const codeIn = (text: string) => {
  const blocks = [...text.matchAll(/^```(\w*)[^\n]*\n(.*?)^```/gms)];
  const shell = blocks.flatMap(([, language, block]) =>
    language === "sh" || language === "bash" ? commandLines(`\`\`\`sh\n${block}\`\`\``) : [],
  );
  const inline = text.replace(/^```.*?^```/gms, "").match(/`[^`]+`/g) ?? [];
  return [...shell, ...inline];
};

test.each(allPages)("every option that %s speaks of is one", (page) => {
  const known = new Set(["--help", "--version", "--debug", ...OTHERS]);
  for (const { command } of COMMAND_TREE) for (const { long } of command.options) known.add(long as string);
  const text = readFileSync(new URL(page, root), "utf8");
  expect([...flagsIn(codeIn(text).join("\n"))].filter((flag) => !known.has(flag))).toEqual([]);
});

const sectionOf = (path: string) => sections.find((text) => text.startsWith(`${path}\n`)) ?? "";

describe.each(COMMAND_TREE)("$path", ({ path, command }) => {
  const section = sectionOf(path);
  const group = sectionOf(path.split(" ").slice(0, -1).join(" "));
  const options = command.options.map(({ long }) => long as string);

  test("every option is explained, here, for its group, or in the common part", () => {
    const explained = new Set([section, group, common].flatMap((text) => [...flagsIn(text)]));
    expect(options.filter((flag) => !explained.has(flag))).toEqual([]);
  });

  test("no option is invented", () => {
    // A group explains what its commands have in common.
    const known = [options, ...command.commands.map((child) => child.options.map(({ long }) => long as string))].flat();
    expect([...flagsIn(section)].filter((flag) => !known.includes(flag))).toEqual([]);
  });
});
