/** The program itself, as it is installed: `npm run test:soak` builds it first. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { SCENE_CLASSES } from "@dcae/train/scenes";
import { expect, test } from "vitest";
import { VERSION } from "../src/package-info.js";
import { builtCli } from "./support/built-cli.js";

const folder = temporaryFolder();

test("--version", async () => {
  expect(await builtCli(["--version"])).toEqual({ status: 0, signal: null, stdout: `${VERSION}\n`, stderr: "" });
});

test("a usage failure", async () => {
  const ended = await builtCli(["encode", "--nothing"]);
  expect(ended).toMatchObject({ status: 2, stdout: "" });
  expect(ended.stderr).toMatch(/^dcae: encode: [^\n]+\n$/);
});

test("runs models: the whole demo", async () => {
  const ended = await builtCli(["demo", "-o", join(folder, "demo"), "--size", "64"]);
  expect(ended.stderr).toBe("");
  expect(ended.status).toBe(0);
  expect(ended.stdout).toContain("reconstructions.png");
});

test.skipIf(process.platform === "win32")("SIGINT ends it by that signal, and leaves nothing behind", async () => {
  // A model of 335 MB takes seconds to draw; the folder's temporary name shows that writing has begun.
  const argv = ["init", "--preset", "sd-vae-ft-ema", "-o", join(folder, "vae")];
  const before = readdirSync(folder);
  const ended = await builtCli(argv, (child) => {
    const timer = setInterval(() => {
      if (readdirSync(folder).length === before.length) return;
      clearInterval(timer);
      child.kill("SIGINT");
    }, 5);
    child.on("close", () => clearInterval(timer));
  });
  expect(ended).toMatchObject({ status: null, signal: "SIGINT", stdout: "" });
  expect(ended.stderr).toBe("dcae: interrupted (SIGINT)\n");
  expect(readdirSync(folder)).toEqual(before);
});

test("a reader that closes the pipe is no error", async () => {
  const ended = await builtCli(["info", "dc-ae-f32c32-in-1.0", "--json"], (child) => child.stdout?.destroy());
  expect(ended).toMatchObject({ status: 0, stderr: "" });
});

test("a command whose words nobody reads goes on with its work", async () => {
  const out = join(folder, "unread");
  const argv = ["scenes", "--count", "1", "--size", "64", "-o", out];
  const ended = await builtCli(argv, (child) => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  });
  expect(ended.status).toBe(0);
  expect(readdirSync(out, { recursive: true }).filter((name) => String(name).endsWith(".png"))).toHaveLength(
    SCENE_CLASSES.length,
  );
});
