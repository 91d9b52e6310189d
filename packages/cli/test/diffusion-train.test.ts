/** `dcae diffusion train`: from latents to a model that samples. */

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { openSafetensorsFile, readNpyFile, writeNpyFile } from "@dcae/core/checkpoint";
import { decodeImage, makeGrid } from "@dcae/core/image";
import { channelMoments, channelSums } from "@dcae/core/internal";
import { ClassConditionalPipeline, openDenoiser, openLatents } from "@dcae/diffusion";
import { channelScaleOf, normalizeChannels } from "@dcae/diffusion/internal";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { readMetrics } from "@dcae/train";
import { alignLatents, diffusionRecipeNames, loadDiffusionConfig, planDiffusion } from "@dcae/train/diffusion";
import { beforeAll, describe, expect, test } from "vitest";
import { Interrupted } from "../src/errors.js";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeLatents, writeDiffusion } from "./support/tiny-diffusion.js";
import { makeModel, TINY_CONFIG, TINY_KL_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const place = (name: string) => join(folder, name);
let latents: string;
/** Of two classes, "wall" and "city", made by the same autoencoder with the same factor. */
let few: string;

/** Pictures of some classes; gives the folder. */
async function makeClasses(name: string, classes: readonly string[]): Promise<string> {
  for (const kind of classes) {
    mkdirSync(join(place(name), kind), { recursive: true });
    for (const i of [0, 1]) await makePicture(join(place(name), kind), `${i}.png`, 16, 16, i);
  }
  return place(name);
}

/** The latents of pictures with the autoencoder and the factor of `latents`, unless flags say otherwise. */
async function encodeClasses(name: string, data: string, ...flags: string[]): Promise<string> {
  const { scalingFactor } = JSON.parse(readFileSync(join(latents, "latents.json"), "utf8")) as {
    scalingFactor: number;
  };
  const scale = flags.includes("--scaling-factor") ? [] : ["--scaling-factor", String(scalingFactor)];
  const size = flags.includes("--size") ? [] : ["--size", "16"];
  await succeed(
    ...["latents", "--data", data, "-m", `${latents}-autoencoder`, "-o", place(name), "--threads", "1"],
    ...[...scale, ...size, ...flags],
  );
  return place(name);
}

beforeAll(async () => {
  latents = await makeLatents(folder);
  few = await encodeClasses("few", await makeClasses("few-pictures", ["wall", "city"]));
});

async function train(name: string, config: string, ...flags: string[]): Promise<string> {
  const { status, stdout, stderr } = await cli([
    ...["diffusion", "train", "--config", config, "--out", place(name), "--device", "cpu", "--threads", "1"],
    ...flags,
  ]);
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** The last line of a run that fails. */
async function failure(name: string, config: string, ...flags: string[]): Promise<string> {
  const argv = ["diffusion", "train", "--config", config, "--out", place(name), "--device", "cpu", "--threads", "1"];
  const { status, stderr } = await cli([...argv, ...flags]);
  expect(status).toBe(1);
  return stderr.trim().split("\n").at(-1) as string;
}

/** The tensors of a run's last checkpoint. */
async function stateOf(name: string): Promise<Record<string, unknown>> {
  const checkpoints = join(place(name), "checkpoints");
  const last = readdirSync(checkpoints).sort().at(-1) as string;
  const file = await openSafetensorsFile(join(checkpoints, last, "state.safetensors"));
  const tensors = await Promise.all(
    [...file.entries.values()].map(async (entry) => [entry.name, (await entry.read()).data]),
  );
  await file.close();
  return Object.fromEntries(tensors) as Record<string, unknown>;
}

const kinds = {
  uvit: {},
  usit: {
    denoiser: {
      arch: "uvit",
      model: {
        patch_size: 2,
        hidden_size: 16,
        depth: 2,
        num_heads: 2,
        train_scheduler: "SiTSampler",
        eval_scheduler: "ODE_heun2",
      },
    },
  },
  dit: {
    denoiser: {
      arch: "dit",
      model: { patch_size: 1, hidden_size: 16, depth: 2, num_heads: 2, adaptive_channel: true },
    },
    // Augmented: the largest count of channels and one at random.
    channels: { counts: [1, 2, 4], draw: 2, always: "largest" },
    accumulate: 2,
    optimizer: {
      schedule: { kind: "constant", lr: 1e-3 },
      groups: [{ name: "blocks", parameters: ["blocks"], kind: "lion", schedule: { kind: "cosine", lr: 1e-4 } }],
    },
    ema: { decay: 0.9, warmupSteps: 0, others: [{ decay: 0.5, warmupSteps: 0 }] },
  },
  sana: {
    denoiser: { arch: "sana_cls", model: { patch_size: 1, hidden_size: 16, depth: 1, attention_head_dim: 8 } },
    ema: null,
    recompute: true,
    optimizer: { kind: "came", schedule: { kind: "constant", lr: 1e-3 }, weightDecay: 0.01 },
  },
};

describe.each(Object.entries(kinds))("%s", (kind, changes) => {
  test("trains, shows samples, and leaves a model that knows its classes and its autoencoder", async () => {
    const config = writeDiffusion(folder, `${kind}.json`, latents, changes);
    expect(await train(kind, config)).toMatch(/finished after update 6, model in .*model, best loss \d/);
    const rows = await readMetrics(join(place(kind), "metrics.jsonl"));
    expect(rows.filter((row) => "loss" in row).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(rows.filter((row) => "eval_loss" in row).map(({ step }) => step)).toEqual([0, 3, 6]);
    expect(rows.filter((row) => "eval_loss_c1" in row && "eval_loss_c2" in row)).toHaveLength(kind === "dit" ? 3 : 0);
    const sheet = await decodeImage(join(place(kind), "samples", "samples-00000006.png"));
    expect([sheet.width, sheet.height]).toEqual([2 * 18 + 2, 2 * 18 + 2]);

    const model = join(place(kind), "model");
    const { description, weights } = await openDenoiser(model);
    // Averages, where they are kept: not the weights of the last update.
    const state = await stateOf(kind);
    const name = kind === "uvit" || kind === "usit" ? "decoder_pred.weight" : "final_layer.linear.weight";
    const saved = (await weights.entries.get(name)!.read()).data;
    const averaged = `ema.0.9.${name}` in state;
    expect(averaged).toBe(kind !== "sana");
    expect(saved).toEqual(state[averaged ? `ema.0.9.${name}` : name]);
    if (averaged) expect(saved).not.toEqual(state[name]);
    await weights.close();
    if (kind === "dit") {
      const other = await openDenoiser(join(place(kind), "model-ema-0.5"));
      expect((await other.weights.entries.get(name)!.read()).data).toEqual(state[`ema.0.5.${name}`]);
      await other.weights.close();
      const table = readFileSync(join(place(kind), "parameters.tsv"), "utf8");
      expect(table).toMatch(/\nblocks\.0\.[a-z.]+weight\t\[.*\]\tyes\tlion\.denoiser-blocks\t0\.0001\t0\n/);
      expect(table).toMatch(new RegExp(`\\n${name}\t\\[.*\\]\tyes\tadamw\\.denoiser\t0\\.001\t0\\n`));
    }
    expect(description.classes?.slice(0, 2)).toEqual(["city", "dunes"]);
    expect(description.autoencoder).toBe(`${latents}-autoencoder`);
    const argv = ["sample", "-m", model, "--labels", "wall,city", "--cfg", "1.5", "--steps", "3", "--threads", "1"];
    expect(await succeed(...argv, "-o", place(`${kind}.png`))).toContain("2 pictures");
  });
});

describe("a run", () => {
  test("goes on after a stop as if it had never stopped", async () => {
    const config = writeDiffusion(folder, "stop.json", latents, { steps: 7, logEvery: 1 });
    await train("whole", config);
    const controller = new AbortController();
    const argv = [
      "diffusion",
      "train",
      "--config",
      config,
      "--out",
      place("stopped"),
      "--device",
      "cpu",
      "--threads",
      "1",
    ];
    const stopped = await cli(argv, {
      signal: controller.signal,
      onTerminal: (text) => {
        if (text.includes("update 3 of 7, evaluation")) controller.abort(new Interrupted("SIGTERM"));
      },
    });
    expect(stopped.status).toBe(143);
    expect(stopped.stdout).toMatch(/stopped after update [34], saved as .*step-0000000[34]/);
    expect(stopped.stderr).toContain("go on with `dcae diffusion train --resume");
    expect(await failure("stopped", config)).toContain("there is a run with checkpoints in this folder");
    const { status, stderr } = await cli([
      "diffusion",
      "train",
      "--resume",
      "--out",
      place("stopped"),
      "--device",
      "cpu",
      "--threads",
      "1",
    ]);
    expect([status, stderr.includes("resuming after update")]).toEqual([0, true]);
    expect(await stateOf("stopped")).toEqual(await stateOf("whole"));
    const model = (name: string) => readFileSync(join(place(name), "model", "model.safetensors"));
    expect(model("stopped").equals(model("whole"))).toBe(true);
  });

  test("computes distances of samples, goes by them, and what is missing is said before", async () => {
    const pictures = place("few-pictures");
    const best = { best: "fd_latents-autoencoder", evaluateSamples: 9 };
    const config = writeDiffusion(folder, "distances.json", latents, { steps: 2, evaluateEvery: 1, ...best });
    const distance = ["--evaluate", `fd:${latents}-autoencoder=${pictures}`];
    const text = await train("distances", config, ...distance);
    expect(text).toMatch(/, best fd_latents-autoencoder \d/);
    const found = (await readMetrics(join(place("distances"), "metrics.jsonl"))).flatMap((row) =>
      "eval_loss" in row ? [row["eval_fd_latents-autoencoder"] as number] : [],
    );
    expect(found).toHaveLength(3);
    expect(Number(/autoencoder ([\d.]+)/.exec(text)![1])).toBeCloseTo(Math.min(...found), 2);
    const plan = ["diffusion", "train", "--config", config, "--threads", "1", "--device", "cpu", "--dry-run"];
    const nowhere = ["--evaluate", `fd:${latents}-autoencoder=${place("nowhere")}`];
    expect(await succeed(...plan, ...distance)).not.toContain("missing");
    expect(await succeed(...plan, ...nowhere)).toMatch(/\nmissing: .*nowhere/);
    expect(await failure("nowhere", config, ...nowhere)).toContain("nowhere");
    expect(await failure("blind", config, ...distance, "--set", "samples=null")).toContain("without samples");
    expect(await failWith(2, ...plan, "--evaluate", "fid")).toContain('"fid" has no reference');
    expect(await failure("no-originals", config, "--evaluate", `rfd:${latents}-autoencoder`)).toContain("originals");
  });

  test("on archives for WebDataset is the same, bit for bit", async () => {
    const archives = await encodeClasses("tar-latents", place("few-pictures"), "--layout", "tar");
    const small = { steps: 2, batch: 2, samples: null, evaluateOn: 4 };
    await train("on-tar", writeDiffusion(folder, "on-tar.json", archives, small));
    await train("on-shards", writeDiffusion(folder, "on-shards.json", few, small));
    expect(await stateOf("on-tar")).toEqual(await stateOf("on-shards"));
  });

  test("can't go on with other settings or other latents, but longer", async () => {
    const config = writeDiffusion(folder, "more.json", latents, { steps: 2, samples: null });
    await train("more", config);
    const resume = (...flags: string[]) =>
      cli(["diffusion", "train", "--resume", "--out", place("more"), "--threads", "1", "--device", "cpu", ...flags]);
    const other = await resume("--set", "batch=3");
    expect([other.status, other.stderr]).toEqual([1, expect.stringContaining("started with other settings: batch")]);
    expect((await resume("--set", "steps=4")).stdout).toContain("finished after update 4");
  });

  test("evaluates each latent once, in batches of any size", async () => {
    const losses: number[] = [];
    for (const batch of [3, 4, 24]) {
      const changes = { batch, evaluateOn: 7, steps: 1, samples: null };
      await train(`batches-${batch}`, writeDiffusion(folder, `batches-${batch}.json`, latents, changes));
      const [start] = await readMetrics(join(place(`batches-${batch}`), "metrics.jsonl"));
      expect(start).toMatchObject({ step: 0, eval_loss: expect.any(Number) });
      losses.push(start!.eval_loss as number);
    }
    for (const loss of losses) expect(Math.abs(loss - losses[0]!)).toBeLessThan(1e-5 * losses[0]!);
  });

  test("evaluates on held-out latents, without pictures where nothing decodes them", async () => {
    const reference = place("reference");
    await succeed(
      ...["latents", "--data", "synthetic", "--count", "12", "-m", `${latents}-autoencoder`, "-o", reference],
      ...["--size", "16", "--threads", "1", "--scaling-factor", "1", "--layout", "npy", "--seed", "99"],
    );
    rmSync(join(reference, "latents.json"));
    const config = writeDiffusion(folder, "held.json", latents, {});
    await train("held", config, "--validation", reference);
    const { stderr } = await cli([
      "diffusion",
      "train",
      "--config",
      config,
      "--data",
      reference,
      "--out",
      place("bare"),
      "--device",
      "cpu",
      "--threads",
      "1",
    ]);
    expect(stderr).toContain("no samples will be shown");
    expect(existsSync(join(place("bare"), "samples"))).toBe(false);
    const { description, weights } = await openDenoiser(join(place("bare"), "model"));
    await weights.close();
    expect(description).toMatchObject({ autoencoder: null, scalingFactor: null });
  });

  test("starts from a model, and its autoencoder may lie beside it", async () => {
    const short = { steps: 1, samples: null };
    await train("first", writeDiffusion(folder, "first.json", latents, short));
    const config = writeDiffusion(folder, "init.json", latents, { init: join(place("first"), "model"), ...short });
    await train("init", config);
    // The run and the autoencoder are moved together.
    const home = place("home");
    cpSync(`${latents}-autoencoder`, join(home, "ae"), { recursive: true });
    await train(
      "home/run",
      writeDiffusion(folder, "home.json", latents, { steps: 1 }),
      "--autoencoder",
      join(home, "ae"),
    );
    renameSync(home, place("moved"));
    const argv = ["sample", "-m", place("moved/run/model"), "--labels", "0", "--steps", "3", "-o", place("moved.png")];
    expect(await succeed(...argv, "--threads", "1")).toContain("1 picture");
  });
});

describe("latents to evaluate on", () => {
  test("are labeled by the names of classes, in whatever order and number they come", async () => {
    const [held, own] = [await openLatents(few), await openLatents(latents)];
    expect([...(await held.read([0, 1, 2, 3])).labels.data]).toEqual([0, 0, 1, 1]);
    const aligned = alignLatents(held, own);
    const [city, wall] = ["city", "wall"].map((name) => own.classes.indexOf(name));
    expect([...(await aligned.held.read([0, 1, 2, 3])).labels.data]).toEqual([city, city, wall, wall]);
    expect(aligned.held.classes).toEqual(own.classes);
    expect(aligned.notes).toEqual([]);
    await Promise.all([held.close(), own.close()]);
    const config = writeDiffusion(folder, "few.json", latents, { steps: 1, samples: null });
    await train("few-run", config, "--validation", few);
  });

  test("must agree in all else, and both folders are named", async () => {
    const config = writeDiffusion(folder, "disagree.json", latents, { samples: null });
    const dryRun = (validation: string) =>
      failWith(1, "diffusion", "train", "--config", config, "--validation", validation, "--dry-run");
    const data = place("few-pictures");
    const scaled = await encodeClasses("scaled", data, "--scaling-factor", "3");
    const line = await dryRun(scaled);
    expect(line).toContain(
      `${scaled}: can't be evaluated on by a training on ${latents}: its scaling factor is 3, not `,
    );
    expect(await dryRun(await encodeClasses("large", data, "--size", "32"))).toContain(
      "its shape is [8,8,8], not [8,4,4]",
    );
    const foreign = await encodeClasses("foreign", await makeClasses("foreign-pictures", ["city", "zoo"]));
    expect(await dryRun(foreign)).toContain("it has classes that the other lacks (zoo)");
    const other = await makeModel(folder, "other-weights", TINY_CONFIG, "--seed", "8");
    const made = await encodeClasses("other-latents", data, "-m", other);
    expect(await dryRun(made)).toContain(`its autoencoder is ${other}, not ${latents}-autoencoder`);
    // And before the first update as well.
    expect(await failure("disagree", config, "--validation", scaled)).toContain("can't be evaluated on");
    expect(existsSync(join(place("disagree"), "metrics.jsonl"))).toBe(false);
  });

  test("what a folder doesn't say is said", async () => {
    const silent = await encodeClasses("silent", place("few-pictures"), "--layout", "npy");
    rmSync(join(silent, "latents.json"));
    const config = writeDiffusion(folder, "silent.json", latents, { samples: null });
    const text = await succeed("diffusion", "train", "--config", config, "--validation", silent, "--dry-run");
    expect(text).toContain(`${silent} doesn't say its scaling factor: it is taken to be that of the other folder`);
    expect(text).toContain(`${silent} doesn't say its autoencoder`);
  });
});

describe("an autoencoder with a shift", () => {
  test("is unshifted in samples during training and in the model that comes out", async () => {
    const kl = await makeModel(folder, "shifted-kl", { ...TINY_KL_CONFIG, shift_factor: 3 });
    const argv = ["latents", "--data", place("few-pictures"), "-m", kl, "--size", "8", "--threads", "1"];
    await succeed(...argv, "-o", place("shifted"));
    const model = { patch_size: 1, hidden_size: 16, depth: 2, num_heads: 2 };
    const config = writeDiffusion(folder, "shifted.json", place("shifted"), {
      denoiser: { arch: "uvit", model },
      steps: 1,
      evaluateEvery: 1,
      batch: 2,
      samples: { perLabel: 1, steps: 3 },
    });
    await train("shifted-run", config);
    const { description, weights } = await openDenoiser(join(place("shifted-run"), "model"));
    await weights.close();
    expect(description).toMatchObject({ scalingFactor: 0.5, shiftFactor: 3 });
    // The sheet is what decoding the same samples with their shift gives.
    const pipeline = await ClassConditionalPipeline.fromPretrained(join(place("shifted-run"), "model"), {
      device: "cpu",
      threads: 1,
    });
    const { images } = await pipeline.generate({ labels: [0, 1], steps: 3 });
    await pipeline.dispose();
    const sheet = await decodeImage(join(place("shifted-run"), "samples", "samples-00000001.png"));
    const expected = makeGrid(images, { columns: 1 });
    expect([sheet.width, sheet.height]).toEqual([expected.width, expected.height]);
    const worst = sheet.data.reduce((most, value, i) => Math.max(most, Math.abs(value - expected.data[i]!)), 0);
    expect(worst).toBeLessThanOrEqual(1);
  });
});

describe("--normalize-channels", () => {
  test("trains on channels of mean 0 and deviation 1, which the model says, and resumes with the same bits", async () => {
    const config = writeDiffusion(folder, "normalized.json", few, {
      ...{ steps: 2, batch: 2, evaluateEvery: 2, checkpointEvery: 1, ema: null, samples: { perLabel: 1, steps: 3 } },
    });
    const statistics = JSON.parse(readFileSync(join(few, "statistics.json"), "utf8"));
    const channels = { mean: statistics.channelMean, std: statistics.channelStd };
    const data = await openLatents(few);
    const all = await normalizeChannels(data, await channelScaleOf(data)).read([0, 1, 2, 3]);
    await data.close();
    const moments = channelMoments(channelSums(all.latents.toFloat32(), 8, 16), 4 * 16);
    for (const { mean, std } of moments.channels) {
      expect(mean).toBeCloseTo(0, 5);
      expect(std).toBeCloseTo(1, 5);
    }

    await train("normalized", config, "--normalize-channels");
    await train("plain", config);
    const lossOf = async (run: string) =>
      (await readMetrics(join(place(run), "metrics.jsonl"))).map(({ loss }) => loss);
    expect(await lossOf("normalized")).not.toEqual(await lossOf("plain"));
    const { description, weights } = await openDenoiser(join(place("normalized"), "model"));
    await weights.close();
    expect(description.channels).toEqual(channels);

    await train("in-two", config, "--normalize-channels", "--set", "steps=1");
    const again = await cli([
      ...["diffusion", "train", "--resume", "--out", place("in-two"), "--device", "cpu", "--threads", "1"],
      ...["--set", "steps=2"],
    ]);
    expect(again.status).toBe(0);
    const bytes = (run: string) => readFileSync(join(place(run), "model", "model.safetensors"));
    expect(bytes("in-two").equals(bytes("normalized"))).toBe(true);

    const pipeline = await ClassConditionalPipeline.fromPretrained(join(place("normalized"), "model"), {
      device: "cpu",
      threads: 1,
    });
    const { images } = await pipeline.generate({ labels: [0, 1], steps: 3 });
    await pipeline.dispose();
    const sheet = await decodeImage(join(place("normalized"), "samples", "samples-00000002.png"));
    const expected = makeGrid(images, { columns: 1 });
    const worst = sheet.data.reduce((most, value, i) => Math.max(most, Math.abs(value - expected.data[i]!)), 0);
    expect(worst).toBeLessThanOrEqual(1);

    const init = join(place("normalized"), "model");
    const line = await failure("from-normalized", config, "--set", `init=${init}`);
    expect(line).toContain("was trained on normalized channels, but data.normalizeChannels is false");
  });
});

describe("bad latents are refused with the file named", () => {
  async function refused(spoil: (folder: string) => Promise<void> | void, layout: "npy" | "shards"): Promise<string> {
    const bad = place(`bad-${layout}`);
    rmSync(bad, { recursive: true, force: true });
    await succeed(
      ...["latents", "--data", "synthetic", "--count", "12", "-m", `${latents}-autoencoder`, "-o", bad, "--size", "16"],
      ...["--threads", "1", "--scaling-factor", "1", "--layout", layout, "--shard-size", "4"],
    );
    await spoil(bad);
    const config = writeDiffusion(folder, "bad.json", bad);
    return failure("never", config);
  }

  test("missing", async () => {
    expect(await refused((bad) => rmSync(join(bad, "city", "00.npy")), "npy")).toContain(join("city", "00.npy"));
    expect(await refused((bad) => rmSync(join(bad, "latents-000001.safetensors")), "shards")).toContain(
      "latents-000001",
    );
  });

  test("cut off", async () => {
    expect(await refused((bad) => truncateSync(join(bad, "city", "00.npy"), 200), "npy")).toContain(
      join("city", "00.npy"),
    );
    const shard = "latents-000002.safetensors";
    expect(await refused((bad) => truncateSync(join(bad, shard), 600), "shards")).toContain(shard);
  });

  test("of another shape", async () => {
    const line = await refused(async (bad) => {
      const path = join(bad, "wall", "11.npy");
      const array = await readNpyFile(path);
      await writeNpyFile(path, array.reshape([16, 8, 1]));
    }, "npy");
    // All files have one size: it shows when the latent is read.
    expect(line).toMatch(/wall\/11\.npy: is float32 \[16, 8, 1\], not a latent \[8, 4, 4\]/);
  });
});

describe("what is planned and refused", () => {
  test("a dry run", async () => {
    const config = writeDiffusion(folder, "plan.json", latents, { accumulate: 3 });
    const text = await succeed("diffusion", "train", "--config", config, "--dry-run");
    expect(text).toMatch(/^tiny: uvit with [\d,]+ parameters, 16 tokens, 0\.\d+ GMACs a latent\n/);
    expect(text).toContain("6 updates of 12 latents, 3.00 passes over the data; objective: noise prediction");
    expect(text).toContain("\n  learning rate: 0.002 after a warm-up of 3 updates\n");
    expect(text).toMatch(/\n {2}time, measured here: [\d.]+ s for an update, \d+s for all/);
    expect(existsSync(place("runs"))).toBe(false);
    const plan = JSON.parse(await succeed("diffusion", "train", "--config", config, "--dry-run", "--json")) as object;
    expect(plan).toMatchObject({ arch: "uvit", tokens: 16, latentsPerUpdate: 12 });
    expect(plan).toMatchObject({ measured: { seconds: expect.any(Number) } });
  });

  test.each([
    [["--config", "no-such"], 1, "there is no diffusion training named"],
    [[], 2, "give --config"],
    [["--resume", "--out", "nowhere"], 2, "there is no run in nowhere"],
  ])("%j", async (flags, status, message) => {
    expect(await failWith(status, "diffusion", "train", ...flags)).toContain(message);
  });

  test("a file may extend a recipe, whose schedule follows the run", async () => {
    const path = place("extending.json");
    const changes = { name: "short", steps: 300, data: { path: latents }, denoiser: { model: { depth: 2 } } };
    writeFileSync(path, JSON.stringify({ extends: "uvit-scenes", ...changes }));
    const shown = JSON.parse(await succeed("diffusion", "train", "--config", path, "--show-config"));
    expect(shown).toMatchObject({ name: "short", steps: 300, batch: 64, results: null });
    expect(shown.denoiser.model).toMatchObject({ depth: 2, hidden_size: expect.any(Number) });
    expect(shown.optimizer.schedule).toMatchObject({ stableSteps: "60%" });
    expect(shown.optimizer.schedule).not.toHaveProperty("totalSteps");
  });

  test("samples that could only fail at the first evaluation", async () => {
    const config = writeDiffusion(folder, "samples.json", latents);
    const run = (...flags: string[]) => failWith(1, "diffusion", "train", "--config", config, "--dry-run", ...flags);
    expect(await run("--set", "samples.sampler=ddim")).toContain(
      "samples: sampler ddim doesn't fit a model trained by",
    );
    expect(await run("--set", "samples.steps=2")).toContain(
      "samples: sampler dpm-solver++ takes 3 or more steps, got 2",
    );
    expect(await run("--set", 'samples.labels=["cow"]')).toContain('samples.labels: "cow" isn\'t a class. Classes are');
    const drop = "denoiser.model.class_dropout_prob=0";
    expect(await run("--set", drop)).toContain("samples.guidance is 2, but this model has no null class");
    expect(await run("--set", "denoiser.model.num_classes=0")).toContain("no null class");
    const bare = ["denoiser.model.num_classes=0", "samples.guidance=1"];
    expect(await run("--set", ...bare)).toContain("samples.labels: this model has no classes");
    await makeModel(folder, "other", { ...TINY_CONFIG, latent_channels: 4 });
    expect(await failure("channels", config, "--autoencoder", place("other"))).toContain(
      `other: takes 4 latent channels, but ${latents} has 8`,
    );
    expect(existsSync(place("channels"))).toBe(false);
  });

  test("latents that aren't there yet, with the command that makes them", async () => {
    const line = await failure("nothing", "usit-scenes", "--data", place("nowhere"));
    expect(line).toContain(
      `${place("nowhere")}: there are no latents. Make them with \`dcae latents\`, or name others`,
    );
    const config = writeDiffusion(folder, "missing.json", "data/none", {
      command: "dcae latents --data x -o data/none && dcae diffusion train --config missing.json",
    });
    expect(await failWith(1, "diffusion", "train", "--config", config, "--dry-run")).toContain(
      "data/none: there are no latents. Make them with `dcae latents --data x -o data/none`, or",
    );
  });

  test("settings that don't exist, and networks that don't fit", async () => {
    const config = writeDiffusion(folder, "wrong.json", latents);
    const run = (status: number, ...flags: string[]) =>
      failWith(status, "diffusion", "train", "--config", config, "--dry-run", ...flags);
    expect(await run(2, "--set", "optimizer.lr=1")).toContain('Unrecognized key: "lr"');
    expect(await run(2, "--set", "optimizer.kind=sgd")).toContain("optimizer.kind: Invalid discriminator value");
    expect(await run(2, "--set", "denoiser.size=uvit-s")).toContain('denoiser: must be { "size", "model" } with a');
    expect(await run(2, "--set", "optimizer.kind=came")).toContain("optimizer.betas: Too small");
    expect(await run(1, "--set", "denoiser.model.in_channels=4")).toContain("in_channels is 4, but");
    expect(await run(1, "--set", "denoiser.model.depht=4")).toContain('"depht" isn\'t a known option');
    writeFileSync(place("broken.json"), "{");
    expect(await failWith(1, "diffusion", "train", "--config", place("broken.json"))).toContain(
      "broken.json isn't valid JSON",
    );
  });
});

describe("recipes", () => {
  test.each(diffusionRecipeNames())("%s says how to run it, and is one that can be planned", async (name) => {
    const recipe = await loadDiffusionConfig(name);
    expect(recipe.name).toBe(name);
    expect(recipe.command).toContain(`--config ${name}`);
    // What follows from the latents stands in no recipe; what a plan assumes about missing ones is said.
    for (const key of ["in_channels", "input_size", "num_classes"])
      expect(recipe.denoiser.model).not.toHaveProperty(key);
    expect(recipe.samples?.labels ?? null).toBeNull();
    if (recipe.plannedFor === null) {
      await expect(planDiffusion(recipe)).rejects.toThrow(/there are no latents/);
      return;
    }
    const { parameters, epochs, assumptions } = await planDiffusion(recipe);
    expect(parameters).toBeGreaterThan(1e6);
    expect(epochs).toBeNull();
    expect(assumptions).toEqual([
      expect.stringMatching(/there are no latents yet, planned for \[\d+, \d+, \d+\] in \d+/),
    ]);
  });

  test.each([
    "usit-scenes",
    "usit-scenes-long",
    "usit-scenes-256",
    "dit-scenes",
    "uvit-scenes",
    "usit-folders",
    "usit-h-f32-imagenet",
  ])("%s takes channels, size and classes from whatever latents it is given", async (name) => {
    const plan = await planDiffusion({
      ...(await loadDiffusionConfig(name)),
      data: { path: few, validation: null, normalizeChannels: false },
    });
    expect(plan).toMatchObject({ tokens: 16, assumptions: [] });
  });

  test("are listed", async () => {
    const listed = await succeed("diffusion", "train", "--list");
    for (const name of diffusionRecipeNames()) expect(listed).toContain(name);
    expect(JSON.parse(await succeed("diffusion", "train", "--list", "--json"))).toHaveLength(
      diffusionRecipeNames().length,
    );
  });
});
