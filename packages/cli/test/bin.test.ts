/** The program itself, as it is installed: `npm test` builds it first. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { VERSION } from "../src/package-info.js";
import { temporaryFolder } from "./support/temporary-folder.js";

const bin = fileURLToPath(new URL("../dist/bin.js", import.meta.url));
const folder = temporaryFolder();

beforeAll(() => {
  if (!existsSync(bin)) throw new Error(`${bin} isn't built: run \`npm run build\` first`);
});

interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

function dcae(argv: readonly string[], onStart: (child: ChildProcess) => void = () => {}): Promise<Ended> {
  const child = spawn(process.execPath, [bin, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  onStart(child);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

test("--version", async () => {
  expect(await dcae(["--version"])).toEqual({ status: 0, signal: null, stdout: `${VERSION}\n`, stderr: "" });
});

test("a usage failure", async () => {
  const ended = await dcae(["encode", "--nothing"]);
  expect(ended).toMatchObject({ status: 2, stdout: "" });
  expect(ended.stderr).toMatch(/^dcae: encode: [^\n]+\n$/);
});

test("runs models: the whole demo", async () => {
  const ended = await dcae(["demo", "-o", join(folder, "demo"), "--size", "64"]);
  expect(ended.stderr).toBe("");
  expect(ended.status).toBe(0);
  expect(ended.stdout).toContain("bit for bit");
});

test.skipIf(process.platform === "win32")("SIGINT ends it by that signal, and leaves nothing behind", async () => {
  // A model of 335 MB takes seconds to draw; the folder's temporary name shows that writing has begun.
  const argv = ["init", "--preset", "sd-vae-ft-ema", "-o", join(folder, "vae")];
  const before = readdirSync(folder);
  const ended = await dcae(argv, (child) => {
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
  const ended = await dcae(["info", "dc-ae-f32c32-in-1.0", "--json"], (child) => child.stdout?.destroy());
  expect(ended).toMatchObject({ status: 0, stderr: "" });
});
