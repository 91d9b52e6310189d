/** Names from files and command lines reach the terminal without their escape sequences, wherever they are shown. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { tensorEntries, writeSafetensorsFile } from "@dcae/core/checkpoint";
import { printable } from "@dcae/core/internal";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test } from "vitest";
import { createCliIo } from "../src/cli-io.js";
import { cli } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

/** Sets the clipboard, clears the screen, rings, in both forms of control characters. */
const ATTACK = "\u001b]52;c;ZXZpbA==\u0007\u001b[2J\u009b1A";
/** A progress line may be cut behind this. */
const SHOWN = "\\u001b";

let m: string;
beforeAll(async () => {
  m = await makeModel(folder, "model");
  await makePicture(at(), `${ATTACK}.png`);
});

/** Runs a command line with and without a terminal; gives what it said without the progress line's own sequence. */
async function said(...argv: string[]): Promise<string> {
  let terminal = "";
  const outcomes = [await cli(argv), await cli(argv, { onTerminal: (text) => (terminal += text) })];
  const texts = [...outcomes.flatMap(({ stdout, stderr }) => [stdout, stderr]), terminal];
  return texts.map((text) => text.replaceAll("\r\u001b[2K", "")).join("");
}

function expectSafe(text: string): void {
  expect(text).toContain(SHOWN);
  expect(text).toBe(printable(text));
}

test("pictures: progress, results and JSON", async () => {
  let terminal = "";
  const streams = { stdout: () => {}, stderr: (text: string) => (terminal += text), isTerminal: true };
  createCliIo(streams).progress.show({ label: "encode", done: 1, total: 1, detail: `${ATTACK}.png` });
  expectSafe(terminal.replace("\r\u001b[2K", ""));
  expectSafe(await said("reconstruct", at(`${ATTACK}.png`), "-m", m, "-o", at("pictures")));
  const { stdout } = await cli(["reconstruct", at(`${ATTACK}.png`), "-m", m, "-o", at("pictures"), "--json"]);
  expectSafe(stdout);
  expect(JSON.parse(stdout).pictures[0].source).toBe(at(`${ATTACK}.png`));
});

test("errors: missing and broken files, configs, options, and their stacks", async () => {
  writeFileSync(at(`broken${ATTACK}.png`), "no picture");
  expectSafe(await said("encode", at(`broken${ATTACK}.png`), "-m", m, "-o", at("latents")));
  expectSafe(await said("encode", at(`${ATTACK}.png`), "-m", `./${ATTACK}`, "-o", at("latents"), "--debug"));
  writeFileSync(at("config.json"), JSON.stringify({ latent_channels: ATTACK, [ATTACK]: 1 }));
  expectSafe(await said("init", "--config", at("config.json"), "-o", at("made")));
  writeFileSync(at("config.json"), `{"a": ${ATTACK}`);
  expect(printable(await said("init", "--config", at("config.json"), "-o", at("made")))).not.toContain("\u001b");
  expectSafe(await said("init", `--${ATTACK}`, "-o", at("made")));
  expectSafe(await said(ATTACK));
});

test("names of tensors in a file, and of classes in a folder of pictures", async () => {
  const x = Tensor.zeros([1, 3, 8, 8]);
  await writeSafetensorsFile(at("x.safetensors"), tensorEntries([[ATTACK, x] as const, ["b", x] as const]));
  expectSafe(await said("encode", at("x.safetensors"), "-m", m, "-o", at("z.npy")));
  mkdirSync(at("classes", ATTACK), { recursive: true });
  writeFileSync(at("classes", ATTACK, "broken.png"), "no picture");
  expectSafe(
    await said("latents", "--data", at("classes"), "-m", m, "--size", "8", "--scaling-factor", "1", "-o", at("set")),
  );
});
