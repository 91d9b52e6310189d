/** `dcae diffusion train`: from latents to a model that samples. */
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { decodeImage } from "@dcae/core";
import { openSafetensorsFile, readNpyFile, writeNpyFile } from "@dcae/core/checkpoint";
import { openDenoiser } from "@dcae/diffusion";
import { readMetrics } from "@dcae/train";
import { beforeAll, describe, expect, test } from "vitest";
import { diffusionRecipeNames, loadDiffusionTraining } from "../src/diffusion-training/load-training.js";
import { planOf } from "../src/diffusion-training/run-diffusion.js";
import { Interrupted } from "../src/interrupted.js";
import { cli, failWith, succeed } from "./support/cli.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { makeLatents, writeDiffusion } from "./support/tiny-diffusion.js";
import { makeModel, TINY_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const place = (name: string) => join(folder, name);
let latents: string;

beforeAll(async () => {
  latents = await makeLatents(folder);
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
  dit: { denoiser: { arch: "dit", model: { patch_size: 1, hidden_size: 16, depth: 2, num_heads: 2 } }, accumulate: 2 },
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

  test("can't go on with other settings or other latents, but longer", async () => {
    const config = writeDiffusion(folder, "more.json", latents, { steps: 2, samples: null });
    await train("more", config);
    const resume = (...flags: string[]) =>
      cli(["diffusion", "train", "--resume", "--out", place("more"), "--threads", "1", "--device", "cpu", ...flags]);
    const other = await resume("--set", "batch=3");
    expect([other.status, other.stderr]).toEqual([1, expect.stringContaining("started with other settings: batch")]);
    expect((await resume("--set", "steps=4")).stdout).toContain("finished after update 4");
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
    expect(existsSync(place("runs"))).toBe(false);
    const plan = JSON.parse(await succeed("diffusion", "train", "--config", config, "--dry-run", "--json")) as object;
    expect(plan).toMatchObject({ arch: "uvit", tokens: 16, latentsPerUpdate: 12 });
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
      "broken.json: not JSON",
    );
  });
});

describe("recipes", () => {
  test.each(diffusionRecipeNames())("%s says how to run it, and is one that can be planned", async (name) => {
    const recipe = await loadDiffusionTraining(name);
    expect(recipe.name).toBe(name);
    expect(recipe.command).toContain(`--config ${name}`);
    const { parameters } = await planOf(recipe);
    expect(parameters).toBeGreaterThan(1e6);
  });

  test("are listed", async () => {
    const listed = await succeed("diffusion", "train", "--list");
    for (const name of diffusionRecipeNames()) expect(listed).toContain(name);
    expect(JSON.parse(await succeed("diffusion", "train", "--list", "--json"))).toHaveLength(
      diffusionRecipeNames().length,
    );
  });
});
