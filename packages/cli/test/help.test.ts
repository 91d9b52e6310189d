/** What every command has in common: help with examples, one-line errors, exit statuses. */
import { describe, expect, test } from "vitest";
import { VERSION } from "../src/package-info.js";
import { cli, failWith, succeed } from "./support/cli.js";
import { commandOf } from "./support/command-of.js";
import { COMMAND_TREE } from "./support/command-tree.js";

const paths = COMMAND_TREE.map(({ path }) => path);
const names = paths.filter((path) => !path.includes(" "));

test("--help lists every command, on stdout", async () => {
  const help = await succeed("--help");
  for (const name of names) expect(help).toMatch(new RegExp(`^  ${name} `, "m"));
});

test("no command: help on stderr, and a usage failure", async () => {
  const { status, stdout, stderr } = await cli([]);
  expect(status).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toContain("Usage: dcae");
});

test.each([66, 80, 120])("help is wrapped to %i columns, once", async (helpColumns) => {
  for (const path of ["", ...paths]) {
    const { stdout } = await cli([...path.split(" ").filter((word) => word !== ""), "--help"], { helpColumns });
    // A word, a list of choices, and what is to be typed, stay whole.
    const prose = stdout.split("\n").filter((line) => !/^ {2}[$#] |^Usage: |\S{24}/.test(line));
    for (const line of prose) expect(line.length, `${path}: ${line}`).toBeLessThanOrEqual(helpColumns);
  }
});

test("--version", async () => expect(await succeed("--version")).toBe(`${VERSION}\n`));

describe.each(paths)("%s", (path) => {
  const words = path.split(" ");

  test("--help shows options and examples of this command", async () => {
    const help = await succeed(...words, "--help");
    expect(help).toContain(`Usage: dcae ${path}`);
    expect(help).toMatch(new RegExp(`Examples:\\n  # .+\\n  \\$ dcae ${path} ?`));
    expect(await succeed(...words.slice(0, -1), "help", words.at(-1) as string)).toBe(help);
  });

  test("its description breaks lines between sentences only: terminals wrap the rest", async () => {
    const { command } = COMMAND_TREE.find((entry) => entry.path === path) as (typeof COMMAND_TREE)[number];
    for (const line of command.description().split("\n")) expect(line).toMatch(/[.)]$/);
  });

  test("its examples are command lines that it takes", async () => {
    const help = await succeed(...words, "--help");
    const examples = [...help.matchAll(/^ {2}\$ dcae (.*)$/gm)].map(([, line]) => line as string);
    for (const line of examples) expect(await commandOf(line)).toMatch(new RegExp(`^${path}( |$)`));
  });

  test("defaults are words, not code", async () => {
    expect(await succeed(...words, "--help")).not.toMatch(/default: [[{]/);
  });

  test("an unknown option is one line, and a usage failure", async () => {
    const line = await failWith(2, ...words, "--no-such-option");
    expect(line).toContain(`dcae: ${path}: `);
    expect(line).toContain(`See \`dcae ${path} --help\`.`);
  });
});

describe.each(COMMAND_TREE.filter(({ isGroup }) => isGroup))("group $path", ({ path, command }) => {
  test("its help lists its commands", async () => {
    const help = await succeed(path, "--help");
    for (const child of command.commands) expect(help).toMatch(new RegExp(`^  ${child.name()} `, "m"));
  });

  test("without a command: its help on stderr, and a usage failure", async () => {
    const { status, stdout, stderr } = await cli([path]);
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(`Usage: dcae ${path} `);
  });

  test("an unknown command is one line", async () => {
    const line = await failWith(2, path, "nothing-like-it");
    expect(line).toContain(`dcae: ${path}: unknown command 'nothing-like-it'. See \`dcae ${path} --help\`.`);
  });
});

describe("usage errors name what is wrong", () => {
  test.each([
    [["encde"], "unknown command 'encde' (Did you mean encode?)"],
    [["encode", "a.png", "-o", "z.npy"], "required option '-m, --model <model>' not specified"],
    [["encode", "-m", "m", "-o", "z.npy"], "missing required argument 'inputs'"],
    [["encode", "a.png", "-m", "m", "-o", "z.npy", "--device", "gpu"], "Allowed choices are auto, cpu"],
    [["encode", "a.png", "-m", "m", "-o", "z.npy", "--batch-size", "0"], "Give a positive integer."],
    [["encode", "a.png", "-m", "m", "-o", "z.npy", "--size", "axb"], "Give one side or WIDTHxHEIGHT"],
    [["encode", "a.png", "-m", "m", "-o", "z.npy", "--seed", "1"], "--seed has no effect without --sample"],
    [["encode", "a.png", "-m", "m", "-o", "z.npy", "--scaling-factor", "1"], "no effect without --scaled"],
    [["encode", "a.png", "-m", "m", "-o", "z.npy", "--shift-factor", "1"], "no effect without --scaled"],
    [["decode", "a.npy", "-m", "m", "-o", "z.npy", "--scaled", "--shift-factor", "x"], "Give a number."],
    [["encode", "a.png", "-m", "m", "-o", "z.npy", "--skip-errors"], "--skip-errors needs a folder as --out"],
    [["encode", "a.png", "-m", "m", "-o", "z.pt"], 'this command doesn\'t write ".pt" files'],
    [["encode", "a.png", "-m", "m", "-o", "z.png"], "this command doesn't write picture files"],
    [["reconstruct", "a.png", "-m", "m", "-o", "z.png"], "this command doesn't write picture files"],
    [["decode", "a.npy", "-m", "m", "-o", "z.png", "--skip-errors"], "--skip-errors needs a folder as --out"],
    [["init", "-o", "x"], "give --preset or --config"],
    [["init", "-o", "x", "--preset", "p", "--config", "c"], "--preset and --config exclude each other"],
    [["init", "-o", "x", "--preset", "dc-ae-f32c32-in-1.1"], 'did you mean "dc-ae-f32c32-in-1.0"?'],
    [["init", "-o", "x", "--preset", "dc-ae-f32c32-in-1.0", "--seed", "-1"], "Give an integer from 0 to"],
    [["init", "-o", "x", "--preset", "dc-ae-f32c32-in-1.0", "--format", "onnx"], "Allowed choices are official"],
    [["latents", "--data", "a", "-o", "b"], "required option '-m, --model <model>' not specified"],
    [["convert", "--from", "a", "--to", "b"], "required option '--format <format>' not specified"],
    [["export", "-m", "m", "-o", "x", "--parts", "encoder,middle"], "Give a list of encoder, decoder"],
    [["export", "-m", "m", "-o", "x", "--parts", "encoder,encoder"], "Give a list of encoder, decoder"],
    [["info", "dc-ae-f32c32-in-1.0", "--size", "0"], "Give one side or WIDTHxHEIGHT"],
    [["bench", "autoencoder", "--threads", "1,1"], "Give positive integers, separated by commas, each once."],
    [["bench", "autoencoder", "--optimize", "yes"], "Give a list of off, on"],
    [["bench", "autoencoder", "-o", "bench.html"], "give a name that ends with .json"],
    [["demo", "-o", "x", "--size", "20x30"], "sides must be multiples of 32"],
  ])("%j", async (argv, message) => {
    expect(await failWith(2, ...argv)).toContain(message);
  });
});
