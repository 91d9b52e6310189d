/** Jobs that processes share by `--shard`: the results have the bits of one process, whatever happens on the way. */
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { Interrupted } from "../src/errors.js";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeDenoiser } from "./support/tiny-denoisers.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
let model: string;
let denoiser: string;

beforeAll(async () => {
  model = await makeModel(folder, "model");
  denoiser = await makeDenoiser(folder, "uvit", { autoencoder: "../model" });
  mkdirSync(at("photos"));
  // Two sizes, so that batches end early, and one that can't be read.
  for (const [i, size] of [16, 16, 24, 16, 16, 16, 16].entries())
    await makePicture(at("photos"), `${i}.png`, size, size, i);
  writeFileSync(at("photos", "3-broken.png"), "no picture");
  await succeed(
    "encode",
    at("photos", "0.png"),
    at("photos", "1.png"),
    at("photos", "4.png"),
    "-m",
    model,
    "-o",
    at("z"),
  );
});

/** Every file of a folder but what the shards note, by its path. */
function filesOf(path: string): Record<string, string> {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const names = files.map((entry) => relative(path, join(entry.parentPath, entry.name)));
  return Object.fromEntries(
    names
      .filter((name) => !name.startsWith(".shards"))
      .map((name) => [name, readFileSync(join(path, name)).toString("base64")]),
  );
}

const broken = ["--skip-errors", "--batch-size", "2", "--threads", "1"];

describe.each<[string, () => string[]]>([
  ["encode", () => ["encode", at("photos"), "-m", model, ...broken]],
  ["decode", () => ["decode", at("z"), "-m", model, "--batch-size", "1", "--threads", "1"]],
  ["reconstruct", () => ["reconstruct", at("photos"), "-m", model, ...broken]],
  [
    "sample",
    () => [
      "sample",
      "-m",
      denoiser,
      "--labels",
      "dog,2",
      "--per-label",
      "3",
      "--steps",
      "3",
      "--batch-size",
      "2",
      "--threads",
      "1",
    ],
  ],
])("%s", (name, command) => {
  test("in three shards, in any order, gives the files and the report of one process", async () => {
    const argv = command();
    const out = at(`${name}-out`);
    const alone = await cli([...argv, "-o", out, "--json"]);
    expect([alone.status, alone.stderr.replace(/.*(3-broken|could not be used).*\n/g, "")]).toEqual([0, ""]);
    const files = filesOf(out);
    rmSync(out, { recursive: true });
    const texts: string[] = [];
    for (const shard of ["3/3", "1/3", "2/3"]) {
      const { status, stdout } = await cli([...argv, "-o", out, "--shard", shard, "--json"]);
      expect(status).toBe(0);
      texts.push(stdout);
    }
    expect(JSON.parse(texts[0]!)).toMatchObject({ out, shard: "3/3", missingShards: ["1/3", "2/3"] });
    expect(JSON.parse(texts[1]!)).toMatchObject({ missingShards: ["2/3"] });
    expect(texts[2]).toBe(alone.stdout);
    expect(filesOf(out)).toEqual(files);

    // Late and twice: the whole is there, and said again; nothing is computed or written.
    const [first] = Object.keys(files).filter((file) => file !== "report.json");
    const before = statSync(join(out, first!)).mtimeMs;
    expect((await cli([...argv, "-o", out, "--shard", "1/3", "--json"])).stdout).toBe(alone.stdout);
    expect(statSync(join(out, first!)).mtimeMs).toBe(before);

    // Of what was removed, or noted by half when its process was killed, the shard makes its blocks again.
    rmSync(join(out, first!));
    for (const file of readdirSync(join(out, ".shards"))) {
      if (file.endsWith(".jsonl")) appendFileSync(join(out, ".shards", file), '\n{"position":0,"resu');
    }
    for (const shard of ["1/3", "2/3", "3/3"]) {
      expect((await cli([...argv, "-o", out, "--shard", shard, "--json"])).stdout).toBe(alone.stdout);
    }
    expect(filesOf(out)).toEqual(files);
  });
});

test("what an interruption leaves is gone on with", async () => {
  const argv = ["encode", at("photos"), "-m", model, "-o", at("stopped"), ...broken, "--shard", "1/1"];
  const controller = new AbortController();
  const { status } = await cli(argv, {
    signal: controller.signal,
    onTerminal: (text) => {
      if (text.includes("3-broken")) controller.abort(new Interrupted("SIGUSR1"));
    },
  });
  expect(status).toBe(75);
  expect(Object.keys(filesOf(at("stopped")))).toEqual(["0.npy", "1.npy"]);
  const before = statSync(at("stopped", "0.npy")).mtimeMs;
  expect((await cli(argv)).stdout).toContain("7 latents");
  expect(statSync(at("stopped", "0.npy")).mtimeMs).toBe(before);
});

test("what doesn't fit is one line, before any work", async () => {
  const argv = ["encode", at("photos"), "-m", model, "-o", at("job"), ...broken];
  await cli([...argv, "--shard", "1/3"]);
  expect(await failWith(2, ...argv, "--size", "8", "--shard", "2/3")).toMatch(
    /job: its shards are of another job \(size\)\. Repeat its options to go on with it, give another --out, or remove /,
  );
  cpSync(at("photos", "0.png"), at("photos", "9.png"));
  expect(await failWith(2, ...argv, "--shard", "2/3")).toMatch(/its shards are of another job \(items, count\)/);
  rmSync(at("photos", "9.png"));
  expect(await failWith(2, ...argv, "--shard", "4/3")).toContain(
    "Give i/n with i from 1 to n (1/4 is the first of four)",
  );
  const one = ["encode", at("photos", "0.png"), "-m", model, "-o", at("one.npy"), "--shard", "1/2"];
  expect(await failWith(2, ...one)).toContain("--shard needs a folder as --out");
  const grid = ["sample", "-m", denoiser, "--labels", "1", "-o", at("grid.png"), "--shard", "1/2"];
  expect(await failWith(2, ...grid)).toContain("--shard needs a folder as --out");
  const set = ["eval", "stats", at("photos"), "--size", "32", "-o", at("set.npz")];
  expect(await failWith(2, ...set, "--shard", "auto")).toContain("no engine says which part this is");
});

describe("dcae eval reconstruction", () => {
  const argv = (out: string) => [
    ...["eval", "reconstruction", "-m", model, "--data", at("many"), "--size", "16", "--metrics", "psnr,ssim"],
    ...["--threads", "1", "--examples", "1", "--json", "-o", out],
  ];

  /** What an earlier process had done is said on stderr. */
  const resultOf = async (given: string[], ...more: string[]) => JSON.parse((await cli([...given, ...more])).stdout);

  test("in two shards gives the result of one process", async () => {
    mkdirSync(at("many"));
    for (let i = 0; i < 35; i++) await makePicture(at("many"), `${String(i).padStart(2, "0")}.png`, 16, 16, i);
    const alone = JSON.parse(await succeed(...argv(at("alone"))));
    const first = JSON.parse(await succeed(...argv(at("shared")), "--shard", "2/2"));
    expect(first).toMatchObject({ shard: "2/2", parts: 3, missingParts: 2, missingShards: ["1/2"] });
    expect(readdirSync(at("shared"))).toEqual(["parts"]);
    const whole = await resultOf(argv(at("shared")), "--shard", "1/2");
    const { date: _, seconds: __, ...numbers } = whole;
    expect(alone).toMatchObject(numbers);
    expect(readdirSync(at("shared")).sort()).toEqual(["parts", "report.html", "result.json"]);
    expect(await resultOf(argv(at("shared")), "--shard", "2/2")).toMatchObject(numbers);
    expect(await failWith(2, ...argv(at("shared")), "--shard", "2/2", "--restart")).toContain(
      "--restart and --shard exclude",
    );
  });
});
