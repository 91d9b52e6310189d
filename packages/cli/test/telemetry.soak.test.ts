/**
 * Nothing leaves the machine and no identifier is written: the built program, and programs that use the packages, run with
 * an empty home and an empty folder for temporary files. Where strace works, calls to connect and look-ups of names are seen too.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test } from "vitest";
import { makePicture } from "./support/pictures.js";
import { makeModel } from "./support/tiny-models.js";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const bin = path("../dist/bin.js");
const runtime = pathToFileURL(path("../../core/dist/runtime/index.js")).href;
const folder = temporaryFolder();
const hasStrace = spawnSync("strace", ["-f", "-o", join(folder, "trace"), "true"]).status === 0;

let model: string;
let picture: string;
beforeAll(async () => {
  model = await makeModel(folder, "model");
  picture = await makePicture(folder, "picture.png");
});

/** Lines of strace that contact somebody or look up a name; sockets between processes of this machine are neither. */
function contacts(trace: string): string[] {
  return trace
    .split("\n")
    .filter(
      (line) => /\b(connect|sendto|sendmsg|sendmmsg)\(.*\bAF_INET/.test(line) || /resolv\.conf|\/nscd\//.test(line),
    );
}

/** Runs Node as on a machine where nothing was ever configured; says what it left in home and folder for temporary files. */
function run(name: string, argv: readonly string[]): readonly string[] {
  const home = join(folder, `${name}-home`);
  const temporary = join(folder, `${name}-tmp`);
  for (const path of [home, temporary]) mkdirSync(path);
  const trace = join(folder, `${name}-trace`);
  const [program, ...args] = hasStrace
    ? ["strace", "-f", "-o", trace, "-e", "trace=openat,%network", process.execPath, ...argv]
    : [process.execPath, ...argv];
  // Not the variables of this process: those of a CI service switch the telemetry off, too.
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    USERPROFILE: home,
    TMPDIR: temporary,
    TEMP: temporary,
    TMP: temporary,
  };
  const { status, stderr } = spawnSync(program as string, args, { env, encoding: "utf8" });
  expect(status, stderr).toBe(0);
  if (hasStrace) expect(contacts(readFileSync(trace, "utf8"))).toEqual([]);
  return [home, temporary].flatMap((path) => readdirSync(path, { recursive: true }).map(String));
}

function script(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

test("dcae encode", () => {
  expect(run("encode", [bin, "encode", picture, "-m", model, "-o", join(folder, "latent.npy")])).toEqual([]);
});

test("dcae doctor, which loads the runtime for its version", () => {
  expect(run("doctor", [bin, "doctor"])).toEqual([]);
});

test("dcae bench autoencoder, which measures in processes of their own", () => {
  const argv = [
    bin,
    "bench",
    "autoencoder",
    model,
    "--size",
    "32",
    "--parts",
    "encode",
    "--threads",
    "1",
    "--warmup",
    "1",
    "--iterations",
    "1",
  ];
  expect(run("bench", argv)).toEqual([]);
});

test("a program whose worker thread is the only user of the packages", () => {
  const worker = script(
    "worker.mjs",
    `import { probeDevice } from ${JSON.stringify(runtime)};
     process.exitCode = (await probeDevice("cpu")) === undefined ? 0 : 1;`,
  );
  const main = script(
    "main.mjs",
    `import { Worker } from "node:worker_threads";
     const worker = new Worker(${JSON.stringify(worker)});
     worker.on("exit", (status) => process.exit(status));`,
  );
  expect(run("worker", [main])).toEqual([]);
});
