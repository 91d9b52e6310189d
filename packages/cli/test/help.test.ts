/** What every command has in common: help with examples, one-line errors, exit statuses. */
import { describe, expect, test } from "vitest";
import { createCliIo } from "../src/cli-io.js";
import { COMMANDS } from "../src/commands/index.js";
import { VERSION } from "../src/package-info.js";
import { cli, failWith, succeed } from "./support/cli.js";

const io = createCliIo({ stdout: () => {}, stderr: () => {} });
const names = COMMANDS.map((create) => create(io).name());

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

test("--version", async () => expect(await succeed("--version")).toBe(`${VERSION}\n`));

describe.each(names)("%s", (name) => {
  test("--help shows options and examples of this command", async () => {
    const help = await succeed(name, "--help");
    expect(help).toContain(`Usage: dcae ${name}`);
    expect(help).toMatch(new RegExp(`Examples:\\n  # .+\\n  \\$ dcae ${name} ?`));
    expect(await succeed("help", name)).toBe(help);
  });

  test("an unknown option is one line, and a usage failure", async () => {
    const line = await failWith(2, name, "--no-such-option");
    expect(line).toContain(`dcae: ${name}: `);
    expect(line).toContain(`See \`dcae ${name} --help\`.`);
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
    [["convert", "--from", "a", "--to", "b"], "required option '--format <format>' not specified"],
    [["export", "-m", "m", "-o", "x", "--parts", "encoder,middle"], "Give a list of encoder, decoder"],
    [["export", "-m", "m", "-o", "x", "--parts", "encoder,encoder"], "Give a list of encoder, decoder"],
    [["info", "dc-ae-f32c32-in-1.0", "--size", "0"], "Give one side or WIDTHxHEIGHT"],
    [["demo", "-o", "x", "--size", "20x30"], "sides must be multiples of 8"],
  ])("%j", async (argv, message) => {
    expect(await failWith(2, ...argv)).toContain(message);
  });
});
