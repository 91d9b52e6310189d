/** `dcae train`: what it shows before it trains, what it leaves, how it stops, goes on and fails. */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { saveImage } from "@dcae/core";
import { writeKerasModel } from "@dcae/test-support/keras-model";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { type TrainingConfig, trainingRecipe } from "@dcae/train";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Interrupted } from "../src/errors.js";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture, scene } from "./support/pictures.js";
import { makeModel } from "./support/tiny-models.js";
import { TINY_TRAINING, writeTraining } from "./support/tiny-training.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const tiny = writeTraining(folder);
const ONE_THREAD = ["--device", "cpu", "--threads", "1"];

/** A run that has to succeed; gives its words. */
async function train(...argv: readonly string[]) {
  const outcome = await cli(["train", ...argv, ...ONE_THREAD]);
  if (outcome.status !== 0) throw new Error(`dcae train ${argv.join(" ")}: ${outcome.stderr}`);
  return outcome;
}

const shownConfig = async (...argv: readonly string[]) =>
  JSON.parse(await succeed("train", "--config", tiny, "--show-config", ...argv)) as TrainingConfig;

const hash = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

// The environment of whoever runs the tests may have these weights.
beforeAll(() => {
  vi.stubEnv("DCAE_VGG16", undefined);
  vi.stubEnv("DCAE_LPIPS_VGG", undefined);
  vi.stubEnv("DCAE_INCEPTION", undefined);
  vi.stubEnv("DCAE_METRICS", undefined);
  vi.stubEnv("XDG_CACHE_HOME", at("no-cache"));
});
afterAll(() => {
  vi.unstubAllEnvs();
});

describe("before anything is trained", () => {
  test("--dry-run says what trains, how long and in how much memory, and does nothing", async () => {
    const out = at("dry");
    const text = await succeed("train", "--config", tiny, "--dry-run", "--out", out);
    expect(text).toContain("phase1: 6 updates of 2 pictures at 16x16, L1\n  trains 8,722 of 8,722 parameters (*):");
    expect(text).toContain("phase2: 2 updates of 2 pictures at 32x32, L1\n");
    expect(text).toContain("(encoder.project_out, decoder.project_in, encoder.stages.2, decoder.stages.2):");
    expect(text).toMatch(/phase3: .* L1 \+ GAN \(hinge\)\n {2}trains 4,404 of 8,722 parameters/);
    expect(text).toMatch(/^ {4}decoder\.project_out +892 in 4 tensors$/m);
    expect(text).toMatch(/memory of the process, estimated: \d/);
    expect(text).toContain("\n  learning rate: 0.002\n");
    const times = text.match(/^ {2}time, measured here: [\d.]+ s for an update, \d+s for all, beside reading data/gm);
    expect(times).toHaveLength(3);
    expect(text).toContain("\ndata: 9 drawn scenes\nevaluated on: 2 drawn scenes\n");
    expect(text).toContain("\ntaken for granted: each phase begins where the one before it ends\n");
    expect(text).not.toContain("missing");
    expect(existsSync(out)).toBe(false);

    const json = JSON.parse(await succeed("train", "--config", tiny, "--phase", "3", "--dry-run", "--json"));
    expect(json).toMatchObject({ training: "tiny", directory: join("runs", "tiny") });
    expect(json.phases).toHaveLength(1);
    expect(json.phases[0]).toMatchObject({
      name: "phase3",
      rule: ["decoder.project_out", "decoder.stages.1"],
      trainedValues: 4404,
      steps: 2,
      picturesPerUpdate: 2,
    });
    expect(json.phases[0].memory.total).toBeGreaterThan(0);
  });

  test("--dry-run reads what is there, and names what isn't", async () => {
    const set = at("looked-at");
    mkdirSync(set);
    await makePicture(set, "a.png");
    const dry = ["--config", tiny, "--phase", "1", "--dry-run", ...ONE_THREAD];
    const more = ["--perceptual", "lpips", "--validation", set, "--set"];
    const init = `init=${at("nobody", "model")}`;
    const sources = `data.sources=[{"kind":"folder","path":"${at("absent")}"}]`;
    const { stdout } = await train(...dry, ...more, init, sources, "phases.phase1.lpipsWeight=1");
    expect(stdout).toContain(`\nevaluated on: 1 picture of ${set}\n`);
    expect(stdout).toContain(`\nmissing: data: ${at("absent")}: no such file or folder\n`);
    expect(stdout).toMatch(/\nmissing: LPIPS: no file is given for VGG16 and the linear layers\. Download https/);
    expect(stdout).toMatch(/\ntaken for granted: .*nobody.model isn't on this disk/);

    writeFileSync(join(set, "a.png"), "no picture");
    const failed = await cli(["train", ...dry, "--data", set]);
    expect([failed.status, failed.stderr]).toEqual([1, expect.stringMatching(/dcae: data: 1 picture can't be read/)]);
    mkdirSync(at("bare"));
    const empty = await cli(["train", ...dry, "--validation", at("bare")]);
    expect([empty.status, empty.stderr]).toEqual([1, expect.stringContaining("there are no pictures in it")]);
  });

  test("--perceptual PATH: pictures are compared in the features of a network, and the plan says in which", async () => {
    const network = await writeKerasModel(at("network"));
    expect((await shownConfig("--perceptual", network)).perceptual).toEqual({ network });
    const dry = ["--config", tiny, "--phase", "1", "--dry-run", ...ONE_THREAD, "--set", "phases.phase1.lpipsWeight=1"];
    const { stdout } = await train(...dry, 'perceptual.layers=["joined"]', "--perceptual", network);
    expect(stdout).toMatch(/L1 \+ features of .*model\.json \(joined\)/);
    expect(stdout).toMatch(/\ncompared by features of .*model\.json \(joined\)\n/);
    const useless = await failWith(2, "train", "--config", tiny, "--perceptual", network, "--vgg16", "x.pth");
    expect(useless).toContain("--vgg16 has no effect on the perceptual loss of another network");
    expect(await failWith(1, "train", ...dry, "--perceptual", at("no-network"))).toMatch(
      /^dcae: perceptual: .*no-network: can't read: no such file or folder/,
    );
  });

  test("--evaluate: distances stand in the training, in its log and its outcome; what is missing is said before", async () => {
    expect((await shownConfig("--evaluate", "rfid", "fd:clip=photos")).evaluate).toEqual(["rfid", "fd:clip=photos"]);
    expect(await failWith(2, "train", "--config", tiny, "--evaluate", "psnr")).toContain("isn't a distance");
    const encoder = await makeModel(folder, "features");
    const one = ["--config", tiny, "--phase", "1", "--set", "phases.phase1.steps=1", "phases.phase1.best=rfd_features"];
    const dry = await train(...one, "--dry-run", "--evaluate", "rfid", "--weights", at("no-networks"));
    expect(dry.stdout).toMatch(/\nmissing: the weights of the FID Inception aren't here .*\. Download https/);
    const { stdout } = await train(...one, "--evaluate", `rfd:${encoder}`, "--out", at("rfd"));
    const log = readFileSync(at("rfd", "phase1", "metrics.jsonl"), "utf8");
    expect(log.match(/"eval_rfd_features":[\d.e-]+/g)).toHaveLength(2);
    expect(stdout).toMatch(/best rfd_features [\d.e-]+ at update [01]\n/);
  });

  test("--dry-run estimates the time of an update that it can't try out", async () => {
    const huge = ["phases.phase1.size=2048", "phases.phase1.batch=64"];
    const argv = ["--config", tiny, "--phase", "1", "--dry-run", "--set", ...huge];
    const text = await succeed("train", ...argv, ...ONE_THREAD);
    expect(text).toMatch(
      /time, estimated from a smaller update here \((it needs [\d.]+ [GT]B of memory|an update of [\d.]+ tera-op).*\): about \d+ s for an update/,
    );
  });

  test("--list has every recipe with what it needs", async () => {
    const text = await succeed("train", "--list");
    expect(text).toMatch(/^small-f32-scenes\n {2}.+\n {2}needs nothing\n/m);
    expect(text).toMatch(/^f32c32-imagenet\n.+\n {2}needs pictures in data\/imagenet\/train, .*the weights of LPIPS$/m);
    expect(text).toMatch(/^finetune-decoder-f32c32\n.+\n {2}needs .*the model mit-han-lab\/dc-ae-f32c32-in-1\.0/m);
    const list = JSON.parse(await succeed("train", "--list", "--json")) as { name: string }[];
    expect(list.map(({ name }) => name)).toContain("small-f32-scenes-no-shortcuts");
  });

  test("--show-config gives a file that means the same training", async () => {
    const path = at("shown.json");
    writeFileSync(path, await succeed("train", "--config", "small-f32-scenes", "--show-config"));
    expect(JSON.parse(await succeed("train", "--config", path, "--show-config"))).toEqual(
      trainingRecipe("small-f32-scenes"),
    );
  });
});

describe("data", () => {
  test("folders, shards and scenes, with shares", async () => {
    for (const name of ["photos", "shards"]) mkdirSync(at(name));
    await makePicture(at("photos"), "a.png");
    writeFileSync(at("shards", "0.tar"), "");
    const { data, validation } = await shownConfig(
      "--data",
      `${at("photos")}=3`,
      `${at("shards")}=0.5`,
      "synthetic=1",
      "--validation",
      at("photos"),
    );
    expect(data.sources).toEqual([
      { kind: "folder", path: at("photos"), weight: 3 },
      { kind: "shards", path: at("shards"), weight: 0.5 },
      { kind: "scenes", seed: 0, weight: 1 },
    ]);
    expect(data.flip).toBe(true);
    expect(validation).toEqual({ count: 2, sources: [{ kind: "folder", path: at("photos") }] });
  });

  test("a recipe's pictures to evaluate on go with its data", async () => {
    const argv = ["train", "--config", "f32c32-imagenet", "--data", at("photos"), "--show-config"];
    expect(JSON.parse(await succeed(...argv)).validation).toEqual({ count: 256 });
  });

  test("what is neither is refused", async () => {
    writeFileSync(at("photos", "b.zip"), "");
    const show = (path: string) => failWith(1, "train", "--config", tiny, "--show-config", "--data", path);
    expect(await show(at("photos"))).toContain("has both pictures and archives");
    expect(await show(tiny.replace("json", "png"))).toContain("no such file");
    writeFileSync(at("text.txt"), "");
    expect(await show(at("text.txt"))).toContain("neither a folder of pictures, nor a .tar or .zip shard");
  });

  test("unreadable pictures are named and passed over, up to a limit", async () => {
    const spoiled = at("spoiled");
    mkdirSync(spoiled);
    for (let i = 0; i < 3; i++) await saveImage(scene(20, 20, i), join(spoiled, `${i}.png`));
    writeFileSync(join(spoiled, "broken.jpg"), "no picture");
    const argv = ["--config", tiny, "--phase", "1", "--data", spoiled];
    const valid = ["--validation", "synthetic"];
    const { stderr } = await train(...argv, ...valid, "--out", at("runs", "spoiled"));
    expect(stderr.match(/broken\.jpg/g)).toHaveLength(1);
    const failed = await cli(["train", ...argv, ...valid, "--set", "data.maxCorrupt=0", "--out", at("runs", "strict")]);
    expect(failed.status).toBe(1);
    expect(failed.stderr).toMatch(/dcae: data: 1 picture can't be read; the last one: .*broken\.jpg/);
  });
});

describe("a run", () => {
  const run = at("runs", "whole");
  let words: { readonly stdout: string; readonly stderr: string };
  beforeAll(async () => {
    words = await train("--config", tiny, "--out", run);
  });

  test("says what trains first, then how it goes, then what it left", () => {
    const { stdout, stderr } = words;
    expect(stderr.indexOf("trains 8,722 of 8,722 parameters")).toBeLessThan(stderr.indexOf("engine: onnxruntime-node"));
    expect(stderr).toContain("engine: onnxruntime-node cpu, 1 thread\n");
    expect(stderr).toMatch(/phase1: update 3 of 6, evaluation: l1 [\d.]+, psnr [\d.]+, the best so far\n/);
    expect(stdout.split("\n").map((line) => line.split(",")[0])).toEqual([
      ...["phase1: finished after update 6", "phase2: finished after update 2", "phase3: finished after update 2"],
      "",
    ]);
    expect(stdout).toContain(`model in ${join(run, "phase3", "model")}`);
  });

  test("leaves metrics, curves, event files, pictures, checkpoints and models", () => {
    expect(readdirSync(run).sort()).toEqual(["phase1", "phase2", "phase3", "training.json"]);
    expect(readdirSync(join(run, "phase1")).sort()).toEqual([
      ...["best", "best-ema", "checkpoints", "curves.png", "curves.svg", "events", "metrics.jsonl"],
      ...["model", "model-ema", "parameters.tsv", "samples"],
    ]);
  });

  test("leaves models for all commands", async () => {
    const picture = await makePicture(folder, "cat.png", 32);
    const model = join(run, "phase3", "model");
    const text = await succeed("reconstruct", picture, "-m", model, "-o", at("reconstructed"));
    expect(text).toMatch(/cat\.png: \d+\.\d\d dB \(32x32\)/);
    expect(
      JSON.parse(await succeed("info", join(run, "phase1", "best"), "--size", "32", "--json")).latentShape,
    ).toEqual([1, 4, 8, 8]);
  });

  test("isn't started over by accident, and has nothing left to do", async () => {
    const again = await cli(["train", "--config", tiny, "--out", run]);
    expect(again.status).toBe(1);
    expect(again.stderr).toMatch(/\ndcae: .*there is a run with checkpoints in this folder\. Resume it/);
    const { stderr, stdout } = await train("--resume", "--out", run);
    expect(stderr.match(/has finished already/g)).toHaveLength(3);
    expect(stdout).toBe("");
  });

  test("goes on for longer, and its settings remember that", async () => {
    const out = at("runs", "longer");
    const argv = ["--phase", "1", "--out", out];
    await train("--config", tiny, ...argv);
    const { stdout } = await train("--resume", ...argv, "--set", "phases.phase1.steps=8", "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      training: "tiny",
      directory: out,
      phases: [{ phase: "phase1", status: "finished", step: 8, model: join(out, "phase1", "model") }],
    });
    expect(JSON.parse(readFileSync(join(out, "training.json"), "utf8")).phases[0].steps).toBe(8);
    const changed = await cli(["train", "--resume", ...argv, "--set", "phases.phase1.l1Weight=2", "phases.*.steps=9"]);
    expect(changed.stderr).toMatch(/\ndcae: .*started with other settings: l1Weight/);
    expect(JSON.parse(readFileSync(join(out, "training.json"), "utf8")).phases[0].l1Weight).toBe(1);
  });

  test("stops at a signal with everything saved, and ends with the same bits", async () => {
    const out = at("runs", "stopped");
    const controller = new AbortController();
    // The line is redrawn ten times a second at most: whichever update it shows first is the last one.
    let update = "";
    const stopped = await cli(["train", "--config", tiny, "--out", out, ...ONE_THREAD], {
      signal: controller.signal,
      onTerminal: (text) => {
        const [, shown] = / (\d)\/6 /.exec(text) ?? [];
        if (update !== "" || shown === undefined) return;
        update = shown;
        controller.abort(new Interrupted("SIGTERM"));
      },
    });
    expect(stopped.status).toBe(143);
    const checkpoint = join(out, "phase1", "checkpoints", `step-0000000${update}`);
    expect(stopped.stdout).toBe(`phase1: stopped after update ${update}, saved as ${checkpoint}\n`);
    expect(stopped.stderr).toContain("dcae: stopping after this update");
    expect(stopped.stderr).toContain(`dcae: go on with \`dcae train --resume --out ${out}\``);
    expect(stopped.stderr).toMatch(/dcae: interrupted \(SIGTERM\)\n$/);
    expect(existsSync(checkpoint)).toBe(true);
    await train("--resume", "--out", out);
    for (const phase of ["phase1", "phase2", "phase3"]) {
      const file = [phase, "model", "model.safetensors"];
      expect(hash(join(out, ...file)), phase).toBe(hash(join(run, ...file)));
    }
  });

  test("other threads are told when it goes on", async () => {
    const out = at("runs", "threads");
    const argv = ["--phase", "1", "--out", out];
    await train("--config", tiny, ...argv);
    const more = ["train", "--resume", ...argv, "--set", "phases.phase1.steps=7", "--device", "cpu", "--threads", "2"];
    expect((await cli(more)).stderr).toContain(
      "it was computed by onnxruntime-node cpu, 1 thread, now by onnxruntime-node cpu, 2 threads",
    );
  });
});

test("a terminal shows a bar with speed, time left and losses", async () => {
  let shown = "";
  const pictures = at("shown-pictures");
  mkdirSync(pictures, { recursive: true });
  for (let i = 0; i < 4; i++) await makePicture(pictures, `${i}.png`, 16);
  const argv = ["train", "--config", tiny, "--phase", "1", "--data", pictures, "--set", "phases.phase1.batch=8"];
  argv.push("--out", at("runs", "shown"), ...ONE_THREAD);
  await cli(argv, {
    onTerminal: (text) => {
      shown += text;
    },
  });
  // So short a training may wait for its first pictures; how long depends on the machine.
  const waiting = /( {2}\d+ % waiting for data)?/.source;
  const bar = / {2}\[#{20}\] {2}6\/6 {2}[\d.]+ images\/s/.source;
  expect(shown).toMatch(new RegExp(`phase1${bar}${waiting} {2}0s left {2}loss 0\\.\\d+ {2}l1`));
});

test("TensorFlow.js computes the same losses", async () => {
  const losses = async (name: string, ...argv: string[]) => {
    const out = at("runs", name);
    const done = await cli([
      "train",
      "--config",
      tiny,
      "--phase",
      "1",
      "--set",
      "phases.*.steps=2",
      "--out",
      out,
      ...argv,
    ]);
    expect(done.status, done.stderr).toBe(0);
    const lines = readFileSync(join(out, "phase1", "metrics.jsonl"), "utf8")
      .trim()
      .split("\n");
    return lines.map((line) => JSON.parse(line).loss as number).filter((loss) => loss !== undefined);
  };
  const [onnx, tfjs] = [await losses("onnx"), await losses("tfjs", "--engine", "tfjs", "--device", "cpu")];
  expect(tfjs).toHaveLength(2);
  tfjs.forEach((loss, i) => void expect(Math.abs(loss - onnx[i]!)).toBeLessThan(1e-4 * onnx[i]!));
});

describe("what can't be", () => {
  test("an engine that doesn't load says what to install", async () => {
    const { status, stderr } = await cli(["train", "--config", tiny, "--engine", "tfjs", "--device", "tensorflow-gpu"]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/\ndcae: .*Install it: npm install @tensorflow\/tfjs-node-gpu\n$/);
  });

  test("the perceptual loss without its weights says how to get them and how to do without", async () => {
    const out = at("runs", "perceptual");
    const { status, stderr } = await cli(["train", "--config", tiny, "--perceptual", "lpips", "--out", out]);
    expect(status).toBe(1);
    const line = stderr.trim().split("\n").at(-1);
    expect(line).toMatch(/^dcae: LPIPS: no file is given for VGG16 and the linear layers\. Download https:.*vgg16/);
    expect(line).toMatch(/--vgg16 FILE --lpips FILE.*--perceptual none/);
    expect(existsSync(out)).toBe(false);
  });

  test("a training that diverges names the update and the last good checkpoint, which stays", async () => {
    const out = at("runs", "diverged");
    const settings = ["phases.phase1.steps=40", "phases.phase1.checkpointEvery=1", "phases.phase1.evaluateEvery=40"];
    // Updates of this size are finite until weights are squared in a norm.
    const argv = ["--config", tiny, "--phase", "1", "--out", out, "--set", ...settings];
    const { status, stderr } = await cli(["train", ...argv, "phases.phase1.optimizer.schedule.lr=1e10", ...ONE_THREAD]);
    expect(status).toBe(1);
    const [, update, problem, step] =
      /\ndcae: training diverged at update (\d+): (.*); the last good checkpoint: .*step-(\d+)\. Lower/.exec(stderr) ??
      [];
    expect(problem).toMatch(/NaN|Infinity/);
    const checkpoints = readdirSync(join(out, "phase1", "checkpoints"));
    expect(checkpoints.at(-1)).toBe(`step-${step}`);
    expect(Number(step)).toBeLessThan(Number(update));
    expect(existsSync(join(out, "phase1", "model"))).toBe(false);
  });

  test.each<[readonly string[], string]>([
    [[], "give --config, a recipe or a JSON file"],
    [["--resume", "--out", at("nothing")], `--resume: there is no run in ${at("nothing")}`],
    [["--config", tiny, "--phase", "4"], "--phase 4: tiny has no such phase. It has phase1, phase2, phase3."],
    [["--config", tiny, "--set", "phases.0.steps"], '--set: "phases.0.steps": expected key=value'],
    [["--config", tiny, "--set", "phases.0.steps=0"], "--set: settings: phases.0.steps"],
    [["--config", tiny, "--device", "tensorflow"], "--device tensorflow: the onnx engine has no such device"],
    [["--config", tiny, "--engine", "tfjs", "--threads", "1"], "--threads has no effect on the tfjs engine"],
    [["--config", tiny, "--engine", "torch"], "Allowed choices are onnx, tfjs"],
    [["--config", tiny, "--dtype", "float16"], "--dtype float16: training computes in float32"],
    [["--config", tiny, "--dtype", "int8"], "Steps of 8 bits are too coarse for gradients"],
    [["--config", tiny, "--engine", "tfjs", "--dtype", "int8"], "--dtype int8: training computes in float32"],
    [["--config", tiny, "--vgg16", "x.pth"], "--vgg16 has no effect without the perceptual loss"],
  ])("train %j", async (argv, message) => {
    expect(await failWith(2, "train", ...argv)).toContain(message);
  });

  test.each<[string, string]>([
    ["small-f33", 'there is no training named "small-f33". There are f128c512-imagenet'],
    [at("absent.json"), "absent.json"],
  ])("--config %s", async (name, message) => {
    expect(await failWith(1, "train", "--config", name)).toContain(message);
  });

  test("a training that isn't one names the field", async () => {
    const path = writeTraining(folder, "wrong.json", { phases: [{ ...TINY_TRAINING.phases[0], stepz: 3 }] });
    expect(await failWith(1, "train", "--config", path)).toMatch(/wrong\.json: phases\.0: .*stepz/);
  });
});
