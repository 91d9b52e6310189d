/** `dcae sample` and `dcae denoise`: diffusion models from the command line. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { readNpyFile, writeNpyFile } from "@dcae/core/checkpoint";
import { createRandom } from "@dcae/core/graph";
import { decodeImage } from "@dcae/core/image";
import { ClassConditionalPipeline, SAMPLERS, type SamplerName } from "@dcae/diffusion";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { Interrupted } from "../src/errors.js";
import { cli, failWith, succeed } from "./support/cli.js";
import { makeDenoiser } from "./support/tiny-denoisers.js";
import { ADAPTIVE_CONFIG, makeModel, TINY_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const place = (name: string) => join(folder, name);
let model: string;
let dit: string;

beforeAll(async () => {
  await makeModel(folder, "autoencoder");
  model = await makeDenoiser(folder, "uvit", { autoencoder: "../autoencoder" });
  dit = await makeDenoiser(folder, "dit", { arch: "dit", classes: null });
});

const fast = ["--steps", "3", "--threads", "1"];
const sample = (out: string, ...flags: string[]) =>
  succeed("sample", "-m", model, "--labels", "dog,2", "-o", place(out), ...fast, ...flags);

describe("dcae sample", () => {
  test("one picture of all samples, a row per class", async () => {
    expect(await sample("grid.png", "--per-label", "3", "--cfg", "2")).toContain("6 pictures, guidance 2");
    const grid = await decodeImage(place("grid.png"));
    expect([grid.width, grid.height]).toEqual([3 * 18 + 2, 2 * 18 + 2]);
  });

  test("the same seed gives the same file; another seed, scale or sampler another one", async () => {
    const flags = { again: [], same: ["--batch-size", "1"], seed: ["--seed", "1"], scale: ["--cfg", "3"] };
    for (const [name, more] of Object.entries(flags)) await sample(`${name}.npy`, ...more);
    const bytes = (name: string) => readFileSync(place(`${name}.npy`));
    const values = async (name: string) => (await readNpyFile(place(`${name}.npy`))).toFloat32();
    await sample("again-2.npy");
    expect(bytes("again").equals(bytes("again-2"))).toBe(true);
    const [one, single] = [await values("again"), await values("same")];
    expect(Math.max(...one.map((value, i) => Math.abs(value - (single[i] as number))))).toBeLessThan(1e-4);
    expect(bytes("seed").equals(bytes("again"))).toBe(false);
    expect(bytes("scale").equals(bytes("again"))).toBe(false);
  });

  test("labels are folder names first, then numbers", async () => {
    await succeed("sample", "-m", model, "--labels", "7,1", "-o", place("names.npy"), ...fast);
    await succeed("sample", "-m", model, "--labels", "2,dog", "-o", place("numbers.npy"), ...fast);
    expect(readFileSync(place("names.npy")).equals(readFileSync(place("numbers.npy")))).toBe(true);
    expect(await failWith(2, "sample", "-m", model, "--labels", "cow", "-o", place("x.npy"))).toContain(
      '"cow" isn\'t a class. Classes are 0 to 2: cat, dog, 7; "null" means no class.',
    );
    expect(await failWith(2, "sample", "-m", model, "--labels", "4", "-o", place("x.npy"))).toContain("isn't a class");
  });

  test("the null class has a name, and no number means it", async () => {
    expect(await failWith(2, "sample", "-m", model, "--labels", "3", "-o", place("x.npy"))).toContain(
      '"3" isn\'t a class. Classes are 0 to 2',
    );
    await succeed("sample", "-m", model, "--labels", "null", "-o", place("null.npy"), ...fast);
    // A scale of 0 leaves the class out.
    await succeed("sample", "-m", model, "--labels", "dog", "--cfg", "0", "-o", place("zero.npy"), ...fast);
    const values = async (name: string) => (await readNpyFile(place(name))).toFloat32();
    const [none, zero] = [await values("null.npy"), await values("zero.npy")];
    expect(Math.max(...none.map((value, i) => Math.abs(value - zero[i]!)))).toBeLessThan(1e-4);
    const bare = await makeDenoiser(folder, "no-null", { model: { class_dropout_prob: 0 } });
    expect(await failWith(2, "sample", "-m", bare, "--labels", "null", "-o", place("x.npy"))).toMatch(
      /"null" isn't a class\. Classes are 0 to 2: cat, dog, 7\.\s*$/,
    );
  });

  test.each([
    [["--cfg", "-1"], "Give 0 or a positive number"],
    [["--cfg", "NaN"], "Give 0 or a positive number"],
    [["--cfg", "2", "--guidance-interval", "-5,0.5"], "Give 0 or a positive number"],
    [["--cfg", "2", "--guidance-interval", "0.5,0.2"], "in ascending order"],
    [["--steps", "0"], "Give a positive integer"],
    [["--steps", "2"], "sampler dpm-solver++ takes 3 or more steps, got 2"],
    [["--scaling-factor", "0"], "Give a positive number"],
    [["--dtype", "float16", "--optimize"], "--optimize: it has no effect with dtype float16"],
    [["--seed", "-1"], "Give an integer from 0"],
    [["--batch-size", "0"], "Give a positive integer"],
    [["--per-label", "0"], "Give a positive integer"],
    [["--cfg", "2", "--guidance-channels", "9"], "9 channels are to be guided, but the model has 8"],
  ])("%j is refused", async (flags, message) => {
    const { status, stderr } = await cli(["sample", "-m", model, "--labels", "dog", "-o", place("no.png"), ...flags]);
    expect(status).toBeGreaterThan(0);
    expect(stderr).toContain(message);
  });

  test("latents are unscaled and unshifted as the model's config says", async () => {
    const shifted = await makeDenoiser(folder, "with-shift", { autoencoder: "../autoencoder", shiftFactor: 2 });
    const argv = ["--labels", "dog", "--threads", "1", "--steps", "3"];
    await succeed("sample", "-m", shifted, ...argv, "-o", place("shift.npy"));
    await succeed("sample", "-m", shifted, ...argv, "-o", place("shift.png"));
    const latents = await readNpyFile(place("shift.npy"));
    const unscaled = Tensor.float32(
      latents.toFloat32().map((value) => value / 0.5 + 2),
      latents.shape,
    );
    await writeNpyFile(place("unscaled.npy"), unscaled);
    await succeed(
      "decode",
      place("unscaled.npy"),
      "-m",
      place("autoencoder"),
      "-o",
      place("decoded.png"),
      "--threads",
      "1",
    );
    const [sampled, decoded] = [await decodeImage(place("shift.png")), await decodeImage(place("decoded.png"))];
    const offset = (sampled.width - decoded.width) / 2;
    let worst = 0;
    for (let y = 0; y < decoded.height; y++) {
      for (let i = 0; i < 3 * decoded.width; i++) {
        const there = sampled.data[3 * ((y + offset) * sampled.width + offset) + i]!;
        worst = Math.max(worst, Math.abs(there - decoded.data[3 * y * decoded.width + i]!));
      }
    }
    expect(worst).toBeLessThanOrEqual(1);
    await succeed("sample", "-m", model, ...argv, "--shift-factor", "2", "-o", place("option.png"));
    expect(readFileSync(place("option.png")).equals(readFileSync(place("shift.png")))).toBe(true);
  });

  test("a folder gets one file per sample, and JSON says what was done", async () => {
    const text = await sample("files/", "--json");
    expect(JSON.parse(text)).toMatchObject({ labels: ["dog", "7"], cfg: 1, steps: 3, seed: "0" });
    expect(readdirSync(place("files")).sort()).toEqual(["0-dog.png", "1-7.png"]);
  });

  test("several autoencoders decode the same samples, each into files that are called after it", async () => {
    await makeModel(folder, "second", TINY_CONFIG, "--seed", "8");
    const both = ["--autoencoder", place("autoencoder"), place("second")];
    const text = await sample("both.png", ...both);
    expect(text).toBe(`${place("both-autoencoder.png")}: 2 pictures\n${place("both-second.png")}: 2 pictures\n`);
    await sample("one.png");
    const bytes = (name: string) => readFileSync(place(name));
    expect(bytes("both-autoencoder.png").equals(bytes("one.png"))).toBe(true);
    expect(bytes("both-second.png").equals(bytes("one.png"))).toBe(false);
    const { outputs } = JSON.parse(await sample("each", ...both, "--json"));
    expect(outputs).toEqual([place("each/autoencoder"), place("each/second")]);
    expect(readdirSync(place("each/second"))).toEqual(["0-dog.png", "1-7.png"]);
    const twice = await failWith(
      2,
      "sample",
      "-m",
      model,
      "--labels",
      "0",
      "-o",
      place("x.png"),
      ...both,
      place("autoencoder"),
    );
    expect(twice).toContain("two are called autoencoder");
  });

  test("adaptive models sample and decode their first channels", async () => {
    const adaptive = await makeDenoiser(folder, "adaptive", {
      ...{ model: { adaptive_channel: true }, autoencoder: "../adaptive-autoencoder", noisy: true },
    });
    await makeModel(folder, "adaptive-autoencoder", ADAPTIVE_CONFIG);
    const run = (out: string, ...flags: string[]) => [
      "sample",
      "-m",
      adaptive,
      "--labels",
      "0",
      "-o",
      place(out),
      ...fast,
      ...flags,
    ];
    await succeed(...run("few.npy", "--latent-channels", "3"));
    expect((await readNpyFile(place("few.npy"))).shape).toEqual([1, 3, 4, 4]);
    await succeed(...run("few.png", "--latent-channels", "3"));
    await succeed(...run("all.png"));
    expect(readFileSync(place("few.png")).equals(readFileSync(place("all.png")))).toBe(false);
    const plain = ["--autoencoder", place("autoencoder")];
    expect(await failWith(1, ...run("x.png", "--latent-channels", "3", ...plain))).toContain(
      "takes 8 latent channels, but a sample has 3",
    );
    expect(
      await failWith(1, "sample", "-m", model, "--labels", "0", "-o", place("x.npy"), "--latent-channels", "3"),
    ).toContain("the model isn't adaptive");
  });

  test("latents need no autoencoder, and an interval limits guidance", async () => {
    const run = (out: string, ...flags: string[]) =>
      succeed("sample", "-m", dit, "--labels", "0", "-o", place(out), ...fast, ...flags);
    await run("plain.npy");
    await run("guided.npy", "--cfg", "4");
    await run("nowhere.npy", "--cfg", "4", "--guidance-interval", "0.1,0.2");
    const values = async (name: string) => (await readNpyFile(place(name))).data;
    expect(await values("nowhere.npy")).toEqual(await values("plain.npy"));
    // A fresh DiT predicts zeros, with and without labels.
    expect(await values("guided.npy")).toEqual(await values("plain.npy"));
    const [shape] = [(await readNpyFile(place("plain.npy"))).shape];
    expect(shape).toEqual([1, 8, 4, 4]);
  });

  interface Kind {
    readonly arch: "uvit" | "dit" | "sana_cls";
    readonly model: object;
    readonly samplers: readonly SamplerName[];
    /** Times in the middle. */
    readonly interval: string;
  }
  const KINDS: Readonly<Record<string, Kind>> = {
    noise: { arch: "uvit", model: {}, samplers: ["dpm-solver++"], interval: "300,700" },
    gaussian: {
      arch: "dit",
      model: {},
      interval: "300,700",
      samplers: ["ddpm", "ddim", "unipc", "dpm-solver-singlestep"],
    },
    flow: {
      arch: "uvit",
      model: { train_scheduler: "SiTSampler" },
      interval: "0.3,0.7",
      samplers: ["dopri5", "euler", "heun", "midpoint", "rk4", "sde"],
    },
    sana: { arch: "sana_cls", model: {}, samplers: ["sana"], interval: "300,700" },
    uni: {
      arch: "dit",
      model: { train_scheduler: "UniTrainScheduler", learn_sigma: false },
      interval: "0.3,0.7",
      samplers: ["uni", "uni-sde"],
    },
  };

  beforeAll(async () => {
    for (const [kind, { arch, model: keys }] of Object.entries(KINDS)) {
      await makeDenoiser(folder, kind, { arch, model: { ...keys }, noisy: true });
    }
  });
  const everySampler = Object.entries(KINDS).flatMap(([kind, { samplers, interval }]) =>
    samplers.map((sampler) => ({ kind, sampler, interval })),
  );

  test.each(everySampler)("$kind, $sampler: guidance always, sometimes and never", async (how) => {
    const { kind, sampler, interval } = how;
    const run = async (...flags: string[]) => {
      const out = place(`${sampler}-${flags.length}.npy`);
      const steps = sampler === "dopri5" ? [] : ["--steps", "6"];
      const all = ["-m", place(kind), "--labels", "dog", "--sampler", sampler, "--threads", "1", ...steps, ...flags];
      await succeed("sample", ...all, "-o", out);
      return (await readNpyFile(out)).toFloat32();
    };
    const never = await run();
    const always = await run("--cfg", "3");
    const sometimes = await run("--cfg", "3", "--guidance-interval", interval);
    for (const latent of [never, always, sometimes]) expect([...latent].every(Number.isFinite)).toBe(true);
    expect(always).not.toEqual(never);
    expect(sometimes).not.toEqual(never);
    expect(sometimes).not.toEqual(always);
  });

  test("every sampler is among them", () => {
    expect(everySampler.map(({ sampler }) => sampler).sort()).toEqual([...SAMPLERS].sort());
  });

  test("a model's own sampler is the default", async () => {
    await succeed("sample", "-m", place("flow"), "--labels", "dog", "-o", place("own.npy"), "--threads", "1");
    await succeed(
      ...["sample", "-m", place("flow"), "--labels", "dog", "-o", place("named.npy"), "--threads", "1"],
      ...["--sampler", "dopri5"],
    );
    expect(readFileSync(place("own.npy")).equals(readFileSync(place("named.npy")))).toBe(true);
  });

  test("steps show on a terminal; an interruption ends the command", async () => {
    const controller = new AbortController();
    const shown: string[] = [];
    const outcome = await cli(["sample", "-m", model, "--labels", "0", "-o", place("never.png"), "--steps", "900"], {
      signal: controller.signal,
      onTerminal: (text) => {
        shown.push(text);
        if (text.includes("sample")) controller.abort(new Interrupted("SIGINT"));
      },
    });
    expect(outcome.status).toBe(130);
    expect(shown.join("")).toMatch(/sample {2}\[-+\] +0% {2}\d+\/301/);
  });

  test.each([
    [["--labels", "0", "--sampler", "euler"], 1, "sampler euler doesn't fit a model trained by DPM_Solver"],
    [["--labels", "0", "--sampler", "plms"], 2, "Allowed choices are dpm-solver++"],
    [["--labels", "0,,1"], 2, "Give a list separated by commas"],
    [["--labels", "0", "--guidance-interval", "1,2"], 2, "have no effect without guidance"],
    [["--labels", "0", "--cfg", "2", "--guidance-interval", "2"], 2, "Give two numbers in ascending order"],
    [["--labels", "0", "-o", "x.npy", "--columns", "2"], 2, "--columns has no effect"],
    [["--labels", "0", "-o", "x.npy", "--autoencoder", "y"], 2, "--autoencoder has no effect"],
    [["--labels", "0", "-o", "x.npy", "--scaling-factor", "2"], 2, "--scaling-factor has no effect"],
    [["--labels", "0", "-o", "x.npy", "--shift-factor", "2"], 2, "--shift-factor has no effect"],
    [["--labels", "0", "--steps", "2"], 1, "sampler dpm-solver++ takes 3 or more steps, got 2"],
    [
      ["--labels", "0", "--cfg", "2", "--guidance-channels", "9"],
      1,
      "9 channels are to be guided, but the model has 8",
    ],
    [["--labels", "0", "--cfg", "2", "--guidance-interval", "1001,2000"], 1, "Its times are those from 0 to 1000"],
  ])("refuses %j", async (flags, status, message) => {
    expect(await failWith(status, "sample", "-m", model, "-o", place("x.png"), ...flags)).toContain(message);
  });

  test("models that aren't there, and those without an autoencoder", async () => {
    const missing = await failWith(1, "sample", "-m", "dc-ae-uvit", "--labels", "0", "-o", place("x.png"));
    expect(missing).toContain(
      "not the name of a published diffusion model. Published: dc-ae-f32c32-in-1.0-dit-xl-in-512px",
    );
    const lone = await failWith(1, "sample", "-m", dit, "--labels", "0", "-o", place("x.png"), "--steps", "2");
    expect(lone).toContain("doesn't say which autoencoder");
    await succeed(
      "sample",
      "-m",
      dit,
      "--labels",
      "0",
      "-o",
      place("own.png"),
      ...fast,
      "--autoencoder",
      place("autoencoder"),
    );
  });
});

describe("dcae denoise", () => {
  const random = createRandom(1);
  const x = Tensor.float32(random.normal(new Float32Array(2 * 8 * 16)), [2, 8, 4, 4]);
  const t = Tensor.float32(Float32Array.of(3.5, 900));
  const labels = new Tensor("int32", Int32Array.of(1, 3), [2]);

  beforeAll(async () => {
    await writeNpyFile(place("x.npy"), x.cast("float64"));
    await writeNpyFile(place("t.npy"), t);
    await writeNpyFile(place("l.npy"), labels.cast("int64"));
  });
  const inputs = (changes: Readonly<Record<string, string>> = {}) =>
    Object.entries({ "--x": "x.npy", "--t": "t.npy", "--labels": "l.npy", ...changes }).flatMap(([key, name]) => [
      key,
      place(name),
    ]);

  test("gives what the pipeline's forward pass gives", async () => {
    const line = await succeed("denoise", "-m", model, ...inputs(), "-o", place("eps.npy"), "--threads", "1");
    expect(line).toBe(`${place("eps.npy")}: [2, 8, 4, 4]\n`);
    const pipeline = await ClassConditionalPipeline.fromPretrained(model, { device: "cpu", threads: 1 });
    const expected = await pipeline.denoise(x, t, labels);
    await pipeline.dispose();
    expect((await readNpyFile(place("eps.npy"))).data).toEqual(expected.data);
    await succeed("denoise", "-m", dit, ...inputs(), "-o", place("both.npy"), "--threads", "1");
    expect((await readNpyFile(place("both.npy"))).shape).toEqual([2, 16, 4, 4]);
  });

  test("a configuration of one's own for bare weights", async () => {
    const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8")) as object;
    writeFileSync(place("own.json"), JSON.stringify(config));
    const bare = join(model, "model.safetensors");
    const line = await failWith(
      1,
      "denoise",
      "-m",
      bare,
      ...inputs(),
      "-o",
      place("y.npy"),
      "--config",
      place("t.npy"),
    );
    expect(line).toContain("--config");
    await succeed("denoise", "-m", bare, ...inputs(), "-o", place("y.npy"), "--config", place("own.json"));
    expect(readFileSync(place("y.npy")).length).toBe(readFileSync(place("eps.npy")).length);
  });

  test.each([
    [{ "--x": "t.npy" }, "expected numbers of rank 4"],
    [{ "--t": "x.npy" }, "expected numbers of rank 1"],
    [{ "--labels": "t.npy" }, "expected integers of rank 1"],
    [{ "--t": "gone.npy" }, "gone.npy"],
  ])("refuses %j", async (changes, message) => {
    const line = await failWith(
      1,
      "denoise",
      "-m",
      model,
      ...inputs(changes as Record<string, string>),
      "-o",
      place("y.npy"),
    );
    expect(line).toContain(message);
  });

  test("refuses labels that are missing or no classes", async () => {
    await writeNpyFile(place("far.npy"), new Tensor("int32", Int32Array.of(0, 4), [2]));
    expect(
      await failWith(1, "denoise", "-m", model, ...inputs({ "--labels": "far.npy" }), "-o", place("y.npy")),
    ).toContain("the label 4 isn't one of 0 to 3");
    const none = ["--x", place("x.npy"), "--t", place("t.npy"), "-o", place("y.npy")];
    expect(await failWith(1, "denoise", "-m", model, ...none)).toContain("has 3 classes and needs labels");
  });
});
