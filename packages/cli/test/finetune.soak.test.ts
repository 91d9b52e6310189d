/** `dcae finetune`: the training that it makes, and what it changes of a model. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openSafetensorsFile, readNpyFile } from "@dcae/core/checkpoint";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const DATA = ["--data", "synthetic", "--perceptual", "none", "--device", "cpu", "--threads", "1"];
const SHORT = ["--size", "32", "--batch-size", "2", "--accumulate", "1", "--steps", "3"];

let model: string;
beforeAll(async () => {
  model = await makeModel(folder, "model");
});

async function finetune(...argv: readonly string[]) {
  const outcome = await cli(["finetune", ...argv]);
  if (outcome.status !== 0) throw new Error(`dcae finetune ${argv.join(" ")}: ${outcome.stderr}`);
  return outcome;
}

test("--show-config gives a file that `dcae train` takes", async () => {
  const argv = ["finetune", "-m", model, ...DATA, ...SHORT, "--show-config"];
  const shown = await succeed(...argv);
  expect(JSON.parse(shown)).toMatchObject({ init: model, phases: [{ name: "finetune", steps: 3, size: 32 }] });
  writeFileSync(at("shown.json"), shown);
  expect(await succeed("train", "--config", at("shown.json"), "--show-config")).toBe(shown);
});

/** Hashes of a checkpoint's tensors by name. */
async function tensors(path: string): Promise<Map<string, string>> {
  const file = await openSafetensorsFile(join(path, "model.safetensors"));
  const hashes = new Map<string, string>();
  for (const [name, entry] of file.entries) {
    hashes.set(
      name,
      createHash("sha256")
        .update((await entry.read()).bytes)
        .digest("hex"),
    );
  }
  await file.close();
  return hashes;
}

async function changedBy(...argv: readonly string[]): Promise<string[]> {
  const out = at(`tuned-${argv.join("").replace(/\W+/g, "-")}`);
  await finetune("-m", model, ...DATA, ...SHORT, "--out", out, ...argv);
  const [before, after] = [await tensors(model), await tensors(join(out, "finetune", "model"))];
  expect([...after.keys()]).toEqual([...before.keys()]);
  return [...before.keys()].filter((name) => before.get(name) !== after.get(name));
}

const placesOf = (names: readonly string[]) =>
  [
    ...new Set(
      names.map((name) =>
        name
          .split(".")
          .slice(0, name.includes(".stages.") ? 3 : 2)
          .join("."),
      ),
    ),
  ].sort();

test("--dry-run of a published model needs neither weights nor network", async () => {
  const text = await succeed("finetune", "-m", "dc-ae-f32c32-in-1.0", "--data", "synthetic", "--dry-run");
  expect(text).toContain("finetune: 5,000 updates of 16 pictures at 256x256, L1 + LPIPS");
  expect(text).toContain("of 323,356,460 parameters (decoder):");
  const head = ["--train", "decoder.project_out, decoder.stages.1", "--gan"];
  const argv = ["finetune", "-m", "mit-han-lab/dc-ae-f32c32-in-1.0", ...DATA, ...head, "--dry-run", "--json"];
  const { training, directory, phases } = JSON.parse(await succeed(...argv));
  expect([training, directory]).toEqual(["finetune-dc-ae-f32c32-in-1.0", join("runs", "finetune-dc-ae-f32c32-in-1.0")]);
  expect(phases[0]).toMatchObject({
    rule: ["decoder.project_out", "decoder.stages.1"],
    trainedValues: 10_649_868,
    losses: ["L1", "GAN (hinge)"],
  });
});

describe("what trains changes, and nothing else", () => {
  test("the decoder by default", async () => {
    expect(placesOf(await changedBy())).toEqual([
      ...["decoder.project_in", "decoder.project_out", "decoder.stages.1", "decoder.stages.2"],
    ]);
  });

  test("places", async () => {
    const small = ["--set", "phases.finetune.gan.width=4", "phases.finetune.gan.layers=2"];
    const changed = await changedBy("--train", "decoder.project_out,decoder.stages.1", "--gan", ...small);
    expect(placesOf(changed)).toEqual(["decoder.project_out", "decoder.stages.1"]);
  });

  test("patterns", async () => {
    const changed = await changedBy("--train", "*.bias");
    expect(changed.length).toBeGreaterThan(5);
    // Running statistics of trained batch norms move as well; these models have theirs in the decoder.
    const others = changed.filter((name) => !name.endsWith(".bias"));
    expect(others.filter((name) => !/running_(mean|var)|num_batches_tracked/.test(name))).toEqual([]);
  });
});

test("latents and their scaling factor stay when only the decoder trains", async () => {
  const scaled = await makeModel(folder, "scaled");
  const configPath = join(scaled, "config.json");
  const config = JSON.parse(readFileSync(configPath, "utf8"));
  writeFileSync(configPath, JSON.stringify({ ...config, scaling_factor: 0.25 }));
  const out = at("scaled-tuned");
  await finetune("-m", scaled, ...DATA, ...SHORT, "--out", out);
  const tuned = join(out, "finetune", "model");
  const picture = await makePicture(folder, "cat.png", 32);
  for (const [name, path] of [
    ["before", scaled],
    ["after", tuned],
  ] as const) {
    await succeed("encode", picture, "-m", path, "--scaled", "--threads", "1", "-o", at(`${name}.npy`));
  }
  expect((await readNpyFile(at("after.npy"))).bytes).toEqual((await readNpyFile(at("before.npy"))).bytes);
  expect(JSON.parse(await succeed("info", tuned, "--size", "32", "--json")).scalingFactor).toBe(0.25);
  const whole = at("whole");
  await finetune("-m", scaled, ...DATA, ...SHORT, "--train", "*", "--out", whole);
  const info = await succeed("info", join(whole, "finetune", "model"), "--size", "32", "--json");
  expect(JSON.parse(info).scalingFactor).toBeNull();
});

test("the diffusers layout is a start as well", async () => {
  const diffusers = await makeModel(folder, "diffusers", undefined, "--format", "diffusers");
  const out = at("from-diffusers");
  await finetune("-m", diffusers, ...DATA, ...SHORT, "--out", out);
  expect(existsSync(join(out, "finetune", "model", "model.safetensors"))).toBe(true);
});

test("weights that are stored in halves are trained in float32, and stay what they are where they don't train", async () => {
  const half = await makeModel(folder, "half", undefined, "--dtype", "float16");
  const out = at("from-half");
  await finetune("-m", half, ...DATA, ...SHORT, "--out", out);
  const [before, after] = await Promise.all(
    [half, join(out, "finetune", "model")].map((path) => openSafetensorsFile(join(path, "model.safetensors"))),
  );
  for (const [name, entry] of after!.entries) {
    expect([name, entry.dtype]).toEqual([name, name.endsWith("num_batches_tracked") ? "int64" : "float32"]);
    if (!name.startsWith("encoder.")) continue;
    const stored = await before!.entries.get(name)!.read();
    expect(Array.from((await entry.read()).toFloat32()), name).toEqual(Array.from(stored.toFloat32()));
  }
  await Promise.all([before!.close(), after!.close()]);
});

test("goes on without being told again what it is", async () => {
  const out = at("resumed");
  await finetune("-m", model, ...DATA, ...SHORT, "--out", out);
  const { stdout } = await finetune("--resume", "--out", out, "--set", "phases.finetune.steps=5", "--threads", "1");
  expect(stdout).toContain("finetune: finished after update 5");
});

test.each<[readonly string[], string]>([
  [["--data", "synthetic"], "give --model (or --resume and the --out of a run)"],
  [["-m", "dc-ae-f32c32-in-1.0"], "give --data: pictures to fine-tune on"],
  [["-m", "sd-vae-ft-ema", "--data", "synthetic"], "--model sd-vae-ft-ema: is an SD-VAE, not a DC-AE"],
  [["--resume", "--out", folder, "--batch-size", "2"], "--batch-size has no effect on a run that is resumed"],
  [["--resume", "--out", folder], `--resume: there is no run in ${folder}. Start one with --model.`],
  [["-m", "x", "--data", "synthetic", "--lr", "0"], "Give a positive number."],
])("%j is refused", async (argv, message) => {
  expect(await failWith(2, "finetune", ...argv)).toContain(message);
});

test("patterns without a match, and a GAN whose last layer is frozen, are refused", async () => {
  const argv = ["finetune", "-m", model, ...DATA, "--dry-run", "--train"];
  expect(await failWith(1, ...argv, "decoder,decoder.stages.7")).toMatch(
    /trains: "decoder\.stages\.7" matches no parameter of the model\. Its places are encoder\.project_in, /,
  );
  expect(await failWith(1, ...argv, "decoder.stages.1", "--gan")).toMatch(/adaptive weight: "decoder\.project_out/);
});
