/** `dcae latents`: from class folders to a folder that diffusion models train on. */

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { AutoencoderDC, createImage, loadImage, type Tensor } from "@dcae/core";
import { readNpyFile } from "@dcae/core/checkpoint";
import { loadSharp, PILLOW_DECODE } from "@dcae/core/image";
import { PLACE_VARIABLES } from "@dcae/core/internal";
import { type LatentDataset, openLatents } from "@dcae/diffusion";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { Interrupted } from "../src/errors.js";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeModel, TINY_CONFIG, TINY_KL_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const place = (name: string) => join(folder, name);
const data = place("data");
let model: string;

beforeAll(async () => {
  model = await makeModel(folder, "tiny");
  for (const [name, count] of [
    ["dog", 3],
    ["cat", 2],
  ] as const) {
    mkdirSync(join(data, name), { recursive: true });
    for (let i = 0; i < count; i++) await makePicture(join(data, name), `${i}.png`, 20, 16 + i, i);
  }
  mkdirSync(join(data, "dog", "more"));
  await makePicture(join(data, "dog", "more"), "x.jpg", 40, 32, 9);
});

const opened: LatentDataset[] = [];
afterEach(async () => {
  for (const dataset of opened.splice(0)) await dataset.close();
});
async function open(out: string): Promise<LatentDataset> {
  const dataset = await openLatents(out);
  opened.push(dataset);
  return dataset;
}

const common = ["--size", "16", "--threads", "1", "--scaling-factor", "0.25"];
const write = (out: string, ...flags: string[]) =>
  succeed("latents", "--data", data, "-m", model, "-o", out, ...common, ...flags);

async function encoded(path: string): Promise<Tensor> {
  const autoencoder = await AutoencoderDC.fromPretrained(model, { device: "cpu", threads: 1 });
  const latent = await autoencoder.encode(await loadImage(join(data, path), { ...PILLOW_DECODE, size: 16 }));
  await autoencoder.dispose();
  return latent;
}

/** Runs `work` where an engine has set these variables, and no other of its kind. */
async function inEnvironment<T>(env: Record<string, string>, work: () => Promise<T>): Promise<T> {
  for (const name of PLACE_VARIABLES) vi.stubEnv(name, undefined);
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  try {
    return await work();
  } finally {
    vi.unstubAllEnvs();
  }
}

const filesOf = async (path: string) =>
  Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name)).toString("base64")]));

const difference = (a: Tensor, b: Tensor) => {
  const other = b.toFloat32();
  return a.toFloat32().reduce((max, value, i) => Math.max(max, Math.abs(value - (other[i] as number))), 0);
};

describe("what is written", () => {
  test("shards: labels by sorted folders, the model's latents times the factor, statistics", async () => {
    const out = place("shards");
    const line = await write(out, "--shard-size", "4", "--batch-size", "3");
    expect(line).toMatch(/shards: 6 latents of \[8, 4, 4\] in 2 classes, scaled by 0.25: mean -?\d/);
    const dataset = await open(out);
    expect(dataset).toMatchObject({ length: 6, classes: ["cat", "dog"], source: model, scalingFactor: 0.25 });
    const { latents, labels } = await dataset.read([0, 1, 2, 3, 4, 5]);
    expect([...labels.data]).toEqual([0, 0, 1, 1, 1, 1]);
    const last = await encoded("dog/more/x.jpg");
    const scaled = last.toFloat32().map((value) => value * 0.25);
    expect(difference(latents.row(5), { toFloat32: () => scaled } as Tensor)).toBeLessThan(1e-5);
    const statistics = JSON.parse(readFileSync(join(out, "statistics.json"), "utf8")) as { rms: number; count: number };
    const values = latents.toFloat32();
    const rms = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    expect(statistics.count).toBe(6);
    expect(statistics.rms).toBeCloseTo(rms, 6);
  });

  test("npy: the reference's layout, and mirrored pictures", async () => {
    const out = place("npy");
    await write(out, "--layout", "npy", "--flips", "--latent-dtype", "float16");
    const [plain, mirrored] = await Promise.all(
      ["cat/1.npy", "cat/1.mirrored.npy"].map((name) => readNpyFile(join(out, name))),
    );
    expect(plain).toMatchObject({ dtype: "float16", shape: [8, 4, 4] });
    expect((mirrored as Tensor).data).not.toEqual((plain as Tensor).data);
    const dataset = await open(out);
    expect(dataset.length).toBe(12);
    expect([...(await dataset.read([0, 3, 4, 11])).labels.data]).toEqual([0, 0, 1, 1]);
  });

  test("tar: archives for WebDataset hold the same latents", async () => {
    const [archives, arrays] = [place("archives"), place("arrays")];
    await write(archives, "--layout", "tar");
    await write(arrays, "--layout", "npy");
    expect(readdirSync(archives).filter((name) => name.endsWith(".tar"))[0]).toBe("latents-000000.tar");
    const [one, other] = [await open(archives), await open(arrays)];
    const all = Array.from({ length: one.length }, (_, i) => i);
    expect(await one.read(all)).toEqual(await other.read(all));
    const statistics = (folder: string) => readFileSync(join(folder, "statistics.json"), "utf8");
    expect(statistics(archives)).toBe(statistics(arrays));
    expect(await failWith(1, "latents", "--data", data, "-m", model, "-o", archives, ...common)).toContain(
      'layout: "tar" there, "shards" now',
    );
  });

  test("mirrored latents are those of mirrored pictures", async () => {
    const symmetric = place("symmetric");
    mkdirSync(join(symmetric, "a"), { recursive: true });
    writeFileSync(
      join(symmetric, "a", "s.svg"),
      '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"><rect x="6" y="2" width="4" height="9"/></svg>',
    );
    await succeed("latents", "--data", symmetric, "-m", model, "-o", place("symmetric-z"), ...common, "--flips");
    const { latents } = await (await open(place("symmetric-z"))).read([0, 1]);
    expect(difference(latents.row(0), latents.row(1))).toBeLessThan(1e-6);
  });

  test("in parts by several processes, the same as by one", async () => {
    const out = place("parts");
    const parts = ["--shard-size", "2", "--shard"];
    expect(await write(out, ...parts, "2/2")).toContain("1 of 3 parts are there, of 6 latents");
    expect(existsSync(join(out, "statistics.json"))).toBe(false);
    expect(await write(out, ...parts, "1/2")).toContain("6 latents of [8, 4, 4]");
    const [whole, joined] = [await open(place("shards")), await open(out)];
    const all = [0, 1, 2, 3, 4, 5];
    expect(difference((await joined.read(all)).latents, (await whole.read(all)).latents)).toBeLessThan(1e-6);
  });

  test("in parts that engines number, the same folder to the last bit, and what lacks is named", async () => {
    const given = ["--shard-size", "2", "--batch-size", "2"];
    await write(place("one"), ...given);
    const out = place("array");
    const parts = [...given, "--shard", "auto"];
    const envs: Record<string, string>[] = [
      // Three tasks of one array, as three engines would number them.
      { SLURM_ARRAY_TASK_ID: "5", SLURM_ARRAY_TASK_COUNT: "3", SLURM_ARRAY_TASK_MIN: "1", SLURM_ARRAY_TASK_STEP: "2" },
      { AWS_BATCH_JOB_ARRAY_INDEX: "1", AWS_BATCH_JOB_ARRAY_SIZE: "3" },
      { JOB_COMPLETION_INDEX: "0", JOB_COMPLETIONS: "3" },
    ];
    const lines: string[] = [];
    for (const env of envs) {
      lines.push(await inEnvironment(env, () => write(out, ...parts)));
      if (lines.length < 4) lines.push(await failWith(1, "latents", "merge", out, "--shards", "3"));
    }
    expect(lines[0]).toContain("1 of 3 parts are there");
    expect(lines[1]).toMatch(/2 of 3 parts lack: 0, 1, which shard 1\/3, 2\/3 writes. Run these shards again/);
    expect(lines[3]).toMatch(/1 of 3 parts lacks: 0, which shard 1\/3 writes/);
    expect(lines[4]).toContain("6 latents of [8, 4, 4]");
    expect(await filesOf(out)).toEqual(await filesOf(place("one")));
    // Late and twice: nothing changes.
    expect(await inEnvironment(envs[1]!, () => write(out, ...parts))).toContain("6 latents");
    rmSync(join(out, "statistics.json"));
    expect(await succeed("latents", "merge", out)).toContain("6 latents of [8, 4, 4]");
    expect(JSON.parse(await succeed("latents", "merge", out, "--json"))).toMatchObject({ count: 6, missingUnits: 0 });
    expect(await filesOf(out)).toEqual(await filesOf(place("one")));
    expect(await failWith(2, "latents", "merge", out, "--size", "16")).toContain("unknown option '--size'");
  });

  test("a measured factor makes their mean square 1, and stays that of the folder", async () => {
    const out = place("measured");
    const argv = ["latents", "--data", data, "-m", model, "-o", out, "--size", "16", "--threads", "1", "--json"];
    const first = JSON.parse(await succeed(...argv, "--scaling-factor", "measure")) as {
      scalingFactor: number;
      statistics: { rms: number };
    };
    expect(first.statistics.rms).toBeCloseTo(1, 3);
    expect(String(first.scalingFactor)).toBe(String(Number(first.scalingFactor.toPrecision(4))));
    const again = JSON.parse(await succeed(...argv, "--scaling-factor", "measure")) as typeof first;
    expect(again.scalingFactor).toBe(first.scalingFactor);
  });

  test("an SD-VAE's shift is taken off before scaling, and measured factors count with it", async () => {
    const plain = await makeModel(folder, "unshifted", TINY_KL_CONFIG);
    const shifted = await makeModel(folder, "shifted", { ...TINY_KL_CONFIG, shift_factor: 3 });
    const argv = ["latents", "--data", "synthetic", "--count", "12", "--size", "8", "--threads", "1"];
    await succeed(...argv, "-m", plain, "-o", place("unshifted-z"));
    expect(await succeed(...argv, "-m", shifted, "-o", place("shifted-z"))).toContain(
      "shifted by -3 and scaled by 0.5",
    );
    const [before, after] = [await open(place("unshifted-z")), await open(place("shifted-z"))];
    expect([before.shiftFactor, after.shiftFactor]).toEqual([0, 3]);
    const all = Array.from({ length: 12 }, (_, i) => i);
    const [z, moved] = [(await before.read(all)).latents, (await after.read(all)).latents];
    const expected = z.toFloat32().map((value) => value - 3 * 0.5);
    expect(difference(moved, { toFloat32: () => expected } as Tensor)).toBeLessThan(1e-5);
    await succeed(...argv, "-m", plain, "-o", place("option-z"), "--shift-factor", "3");
    const asked = await open(place("option-z"));
    expect(asked.shiftFactor).toBe(3);
    expect(difference((await asked.read(all)).latents, moved)).toBe(0);
    const measured = ["-m", shifted, "-o", place("shifted-measured"), "--scaling-factor", "measure", "--json"];
    const { statistics } = JSON.parse(await succeed(...argv, ...measured)) as { statistics: { rms: number } };
    expect(statistics.rms).toBeCloseTo(1, 3);
  });

  test("scenes without any files, and the noise of an SD-VAE from the seed", async () => {
    const kl = await makeModel(folder, "kl", TINY_KL_CONFIG);
    const scenes = ["latents", "--data", "synthetic", "--count", "14", "-m", kl, "--size", "8", "--threads", "1"];
    await succeed(...scenes, "-o", place("scenes-1"), "--seed", "5");
    await succeed(...scenes, "-o", place("scenes-2"), "--seed", "5", "--batch-size", "3");
    await succeed(...scenes, "-o", place("scenes-3"), "--seed", "6");
    const all = Array.from({ length: 14 }, (_, i) => i);
    const [one, two, three] = await Promise.all(
      [1, 2, 3].map(async (i) => (await open(place(`scenes-${i}`))).read(all)),
    );
    expect([...one!.labels.data]).toEqual([0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(difference(one!.latents, two!.latents)).toBeLessThan(1e-6);
    expect(difference(one!.latents, three!.latents)).toBeGreaterThan(0.1);
  });
});

describe("which pictures, and how they are read", () => {
  test("class folders that are links count; what is left out is said; a class without pictures is refused", async () => {
    const linked = place("linked");
    mkdirSync(linked);
    symlinkSync(join(data, "cat"), join(linked, "b-cat"));
    mkdirSync(join(linked, "a", ".ipynb_checkpoints"), { recursive: true });
    mkdirSync(join(linked, "__MACOSX"));
    for (const name of ["1.png", "._1.png", ".ipynb_checkpoints/1.png"]) await makePicture(join(linked, "a"), name);
    writeFileSync(join(linked, "a", "1.txt"), "");
    const argv = ["latents", "--data", linked, "-m", model, "-o", place("linked-z"), ...common];
    const { status, stderr } = await cli(argv);
    expect([status, stderr]).toEqual([0, `dcae: ${linked}: left out 2 macOS metadata, 1 .txt, 1 hidden\n`]);
    const dataset = await open(place("linked-z"));
    expect([dataset.classes, dataset.length]).toEqual([["a", "b-cat"], 3]);
    mkdirSync(join(linked, "c"));
    expect(await failWith(1, ...argv)).toContain(`${join(linked, "c")}: this class folder has no`);
  });

  test("like data sets for training and evaluation: EXIF turns nothing", async () => {
    const turned = place("turned");
    const sharp = await loadSharp();
    const { data: pixels } = createImage(16, 16, [200, 30, 90]);
    pixels.fill(0, 0, 200);
    const picture = sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } });
    for (const [name, orientation] of [
      ["stored", 1],
      ["turned", 6],
    ] as const) {
      mkdirSync(join(turned, name), { recursive: true });
      await picture
        .clone()
        .withMetadata({ orientation })
        .jpeg()
        .toFile(join(turned, name, "x.jpg"));
    }
    await succeed("latents", "--data", turned, "-m", model, "-o", place("turned-z"), ...common);
    const { latents } = await (await open(place("turned-z"))).read([0, 1]);
    expect(latents.row(0).data).toEqual(latents.row(1).data);
  });
});

describe("going on", () => {
  test("what is there and whole isn't made again; what was cut off is", async () => {
    const out = place("again");
    await write(out, "--shard-size", "2");
    const shard = (i: number) => join(out, `latents-00000${i}.safetensors`);
    const old = new Date(1e12);
    for (const i of [0, 1, 2]) utimesSync(shard(i), old, old);
    truncateSync(shard(1), statSync(shard(1)).size - 3);
    utimesSync(shard(1), old, old);
    rmSync(shard(2));
    await write(out, "--shard-size", "2");
    expect(statSync(shard(0)).mtime).toEqual(old);
    expect(statSync(shard(1)).mtime).not.toEqual(old);
    expect((await open(out)).length).toBe(6);
  });

  test("an interruption leaves whole shards only", async () => {
    const out = place("interrupted");
    const controller = new AbortController();
    const argv = [
      "latents",
      "--data",
      data,
      "-m",
      model,
      "-o",
      out,
      ...common,
      "--shard-size",
      "2",
      "--batch-size",
      "2",
    ];
    const { status } = await cli(argv, {
      signal: controller.signal,
      onTerminal: (text) => {
        if (text.includes("encode") && text.includes("2/6")) controller.abort(new Interrupted("SIGINT"));
      },
    });
    expect(status).toBe(130);
    expect(existsSync(join(out, "statistics.json"))).toBe(false);
    expect(await write(out, "--shard-size", "2")).toContain("6 latents");
  });

  test("another set of pictures is refused", async () => {
    const line = await failWith(
      1,
      "latents",
      "--data",
      data,
      "-m",
      model,
      "-o",
      place("shards"),
      "--size",
      "16",
      "--scaling-factor",
      "1",
      "--shard-size",
      "4",
    );
    expect(line).toContain("describes other latents (scaling factor: 0.25 there, 1 now)");
  });

  test("a picture that was replaced is noticed by its size or its time, and named", async () => {
    const pictures = place("replaced");
    mkdirSync(join(pictures, "a"), { recursive: true });
    for (const i of [0, 1]) await makePicture(join(pictures, "a"), `${i}.png`, 16, 16, i);
    const argv = ["latents", "--data", pictures, "-m", model, "-o", place("replaced-z"), ...common];
    await succeed(...argv);
    await succeed(...argv);
    const path = join(pictures, "a", "1.png");
    utimesSync(path, new Date(1e12), new Date(1e12));
    const touched = await failWith(1, ...argv);
    expect(touched).toMatch(/the picture "a\/1" was replaced: \d+ bytes of .* there, \d+ bytes of 2001-09-09T01:46:40/);
    const before = statSync(path).mtime;
    await makePicture(join(pictures, "a"), "1.png", 24, 24, 5);
    utimesSync(path, before, before);
    expect(await failWith(1, ...argv)).toContain('the picture "a/1" was replaced');
  });

  test("other weights under the same name, and another seed of scenes, are other latents", async () => {
    const changing = await makeModel(folder, "changing");
    const scenes = [
      "latents",
      "--data",
      "synthetic",
      "--count",
      "12",
      "-m",
      changing,
      "-o",
      place("changed-z"),
      ...common,
    ];
    await succeed(...scenes, "--seed", "5");
    await succeed(...scenes, "--seed", "5");
    expect(await failWith(1, ...scenes, "--seed", "6")).toContain('seed: "5" there, "6" now');
    rmSync(changing, { recursive: true });
    await makeModel(folder, "changing", TINY_CONFIG, "--seed", "8");
    expect(await failWith(1, ...scenes, "--seed", "5")).toContain("weights of the autoencoder: ");
  });

  test("a folder of before pictures, seeds and weights were noted is read, but none is added to it", async () => {
    const out = place("version-1");
    await write(out, "--shard-size", "2");
    const path = join(out, "latents.json");
    const { files, decoding, seed, weights, shiftFactor, ...old } = JSON.parse(readFileSync(path, "utf8")) as object & {
      readonly [key in "files" | "decoding" | "seed" | "weights" | "shiftFactor"]: unknown;
    };
    expect([files, decoding, seed, typeof weights, shiftFactor]).toEqual([
      expect.any(Array),
      "pillow",
      null,
      "string",
      0,
    ]);
    writeFileSync(path, `${JSON.stringify({ ...old, version: 1 }, null, 1)}\n`);
    await write(out, "--shard-size", "2");
    expect(await open(out)).toMatchObject({ length: 6, scalingFactor: 0.25, shiftFactor: 0, weights: null });
    // Its pictures were turned as EXIF says, which those of now aren't.
    rmSync(join(out, "latents-000001.safetensors"));
    const argv = ["latents", "--data", data, "-m", model, "-o", out, ...common, "--shard-size", "2"];
    expect(await failWith(1, ...argv)).toContain(
      "describes other latents (decoding of pictures: of an earlier version",
    );
  });
});

describe("pictures that can't be read", () => {
  const broken = place("broken");
  const argv = (out: string, ...flags: string[]) => [
    ...["latents", "--data", broken, "-m", model, "-o", place(out), ...common, "--shard-size", "2", ...flags],
  ];
  beforeAll(async () => {
    mkdirSync(join(broken, "a"), { recursive: true });
    for (const name of ["0.png", "1.png", "3.png", "4.png"]) await makePicture(join(broken, "a"), name, 16);
    writeFileSync(join(broken, "a", "2.png"), "not a picture");
  });

  test("end the command with the name of the first, and nothing that was written is lost", async () => {
    const line = await failWith(1, ...argv("stops"));
    expect(line).toContain(join(broken, "a", "2.png"));
    expect(line).toContain("leave such pictures out with --skip-errors");
    const first = join(place("stops"), "latents-000000.safetensors");
    const written = statSync(first).mtimeMs;
    const { status, stderr } = await cli(argv("stops", "--skip-errors"));
    expect([status, statSync(first).mtimeMs]).toEqual([0, written]);
    expect(stderr).toContain("2.png");
  });

  test("a picture that was repaired goes in with the same command", async () => {
    const pictures = place("repaired");
    cpSync(broken, pictures, { recursive: true });
    const flags = ["-m", model, "-o", place("repaired-z"), ...common, "--shard-size", "2"];
    await failWith(1, "latents", "--data", pictures, ...flags);
    await makePicture(join(pictures, "a"), "2.png", 16);
    await succeed("latents", "--data", pictures, ...flags);
    expect((await open(place("repaired-z"))).length).toBe(5);
  });

  test("a link to nothing is a picture that can't be read", async () => {
    const pictures = place("dangling");
    cpSync(broken, pictures, { recursive: true });
    const link = join(pictures, "a", "2.png");
    rmSync(link);
    symlinkSync(join(folder, "nowhere.png"), link);
    const flags = ["-m", model, "-o", place("dangling-z"), ...common, "--shard-size", "2"];
    expect(await failWith(1, "latents", "--data", pictures, ...flags)).toContain(`${link}: can't read: no such file`);
    const { status, stderr } = await cli(["latents", "--data", pictures, ...flags, "--skip-errors"]);
    expect([status, stderr]).toEqual([0, expect.stringContaining("1 of 5 pictures could not be used")]);
  });

  test.each(["shards", "npy", "tar"])(
    "are left out with --skip-errors, named, counted and listed: %s",
    async (layout) => {
      const flags = ["--skip-errors", "--flips", "--layout", layout, "--scaling-factor", "measure"];
      const { status, stdout, stderr } = await cli(argv(`left-${layout}`, ...flags));
      expect(status).toBe(0);
      expect(stdout).toMatch(/: 8 latents of \[8, 4, 4\] in 1 class,/);
      expect(stderr.trim().split("\n")).toEqual([
        expect.stringContaining(join(broken, "a", "2.png")),
        "dcae: 1 of 5 pictures could not be used",
      ]);
      expect((await open(place(`left-${layout}`))).length).toBe(8);
      expect(JSON.parse(readFileSync(join(place(`left-${layout}`), "skipped-000002.json"), "utf8"))).toEqual({
        pictures: { "a/2": expect.stringContaining("2.png") },
      });
      // Nothing is left to do, and what is missing isn't forgotten.
      const again = await cli(argv(`left-${layout}`, ...flags, "--json"));
      expect(JSON.parse(again.stdout)).toMatchObject({ count: 8, skippedPictures: 1, missingUnits: 0 });
      expect(again.stderr).toBe("dcae: 1 of 5 pictures could not be used\n");
      // Without the option, a set must be complete.
      expect(await failWith(1, ...argv(`left-${layout}`, ...flags.slice(1)))).toContain("2.png");
    },
  );

  test("all of them: there is no training set", async () => {
    const none = place("none");
    mkdirSync(join(none, "a"), { recursive: true });
    writeFileSync(join(none, "a", "b.png"), "not a picture");
    const flags = ["latents", "--data", none, "-m", model, "-o", place("none-z"), "--size", "16", "--threads", "1"];
    const { status, stderr } = await cli([...flags, "--scaling-factor", "1", "--skip-errors"]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/b\.png.*\n.*none of the pictures could be used/)]);
    const measured = await cli([...flags, "--scaling-factor", "measure", "--skip-errors"]);
    expect(measured.status).toBe(1);
  });
});

describe("refused, with what is wrong", () => {
  const args = (...flags: string[]) => [
    "latents",
    "--data",
    data,
    "-m",
    model,
    "-o",
    place("no"),
    "--size",
    "16",
    ...flags,
  ];

  test.each([
    [[], "no scaling factor is known for"],
    [["--scaling-factor", "-1"], "Give a positive number"],
    [["--scaling-factor", "1", "--count", "3"], "--count has no effect"],
    [["--scaling-factor", "1", "--seed", "3"], "--seed has no effect"],
    [["--scaling-factor", "1", "--size", "18"], "must be a multiple of 4"],
    [["--scaling-factor", "1", "--shard", "0/2"], "Give i/n with i from 1 to n"],
    [["--scaling-factor", "1", "--shard", "3/2"], "Give i/n with i from 1 to n"],
    [["--scaling-factor", "1", "--shard", "auto"], "no engine says which part this is: none of SLURM_ARRAY_TASK_ID"],
    [["--scaling-factor", "1", "--data", "synthetic"], "needs --count"],
    [["--data", "synthetic", "--count", "3", "--skip-errors"], "--skip-errors has no effect"],
  ])("%j", async (flags, message) => {
    expect(await failWith(2, ...args(...flags))).toContain(message);
    expect(existsSync(place("no"))).toBe(false);
  });

  test("two pictures that would share a latent", async () => {
    const twins = place("twins");
    mkdirSync(join(twins, "a"), { recursive: true });
    await makePicture(join(twins, "a"), "b.png");
    await makePicture(join(twins, "a"), "b.jpg");
    const line = await failWith(1, "latents", "--data", twins, "-m", model, "-o", place("twins-z"), ...common);
    expect(line).toContain("would share one latent, a/b");
  });
});
