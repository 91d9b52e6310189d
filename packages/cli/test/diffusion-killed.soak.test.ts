/** SIGKILL at arbitrary moments of `dcae latents` and `dcae diffusion train`: what goes on ends with the same bits. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { builtCli } from "./support/built-cli.js";
import { killAndResume } from "./support/kill-and-resume.js";
import { makePicture } from "./support/pictures.js";
import { makeLatents, TINY_DIFFUSION, writeDiffusion } from "./support/tiny-diffusion.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

/** Hashes of all files below a folder, but those that a killed process may leave behind. */
function contents(path: string): Record<string, string> {
  const names = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const files = names.map((entry) => join(entry.parentPath, entry.name)).sort();
  const hash = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
  return Object.fromEntries(
    files.filter((file) => !file.endsWith(".tmp")).map((file) => [file.slice(path.length + 1), hash(file)]),
  );
}

async function whole(argv: readonly string[]): Promise<void> {
  const { status, stderr } = await builtCli(argv);
  if (status !== 0) throw new Error(stderr);
}

describe("dcae latents", () => {
  const PICTURES = 60;
  const argv = (layout: string, out: string) => [
    ...["latents", "--data", at("photos"), "-m", at("model"), "--size", "64", "--threads", "1", "--batch-size", "2"],
    ...["--scaling-factor", "measure", "--flips", "--shard-size", "6", "--layout", layout, "-o", out],
  ];

  beforeAll(async () => {
    await makeModel(folder, "model");
    for (let seed = 0; seed < PICTURES; seed++) {
      mkdirSync(at("photos", `class-${seed % 3}`), { recursive: true });
      await makePicture(at("photos", `class-${seed % 3}`), `${seed}.png`, 72, 64, seed);
    }
  });

  test.each(["shards", "npy", "tar"])("%s", async (layout) => {
    const [killed, unkilled] = [at(`${layout}-killed`), at(`${layout}-whole`)];
    const files = () =>
      existsSync(killed)
        ? readdirSync(killed, { recursive: true }).filter((name) => /\.(safetensors|npy|tar)$/.test(String(name)))
            .length
        : 0;
    const perUnit = layout === "npy" ? 6 : 1;
    const options = { kills: 5, seed: 3, progress: files, reach: 5 * perUnit, start: 700 };
    expect(await killAndResume(() => argv(layout, killed), options)).toBeGreaterThanOrEqual(3);
    await whole(argv(layout, unkilled));
    expect(Object.keys(contents(unkilled)).length).toBe((layout === "npy" ? 2 * PICTURES : PICTURES / 3) + 2);
    expect(contents(killed)).toEqual(contents(unkilled));
  });
});

describe("dcae diffusion train", () => {
  const STEPS = 40;
  const KINDS = {
    uvit: {},
    // Gradients that are gathered over two batches, two other optimizers, a second average: more state to lose.
    dit: {
      denoiser: { arch: "dit", model: { patch_size: 1, hidden_size: 16, depth: 2, num_heads: 2 } },
      accumulate: 2,
      optimizer: {
        ...{ kind: "came", schedule: TINY_DIFFUSION.optimizer.schedule, clipNorm: 1 },
        groups: [{ name: "blocks", parameters: ["blocks"], kind: "lion", schedule: { kind: "cosine", lr: 1e-4 } }],
      },
      ema: { decay: 0.9, warmupSteps: 0, others: [{ decay: 0.5, warmupSteps: 2 }] },
    },
    // Counts of channels, which are drawn for each update.
    channels: {
      denoiser: {
        arch: "uvit",
        model: {
          ...TINY_DIFFUSION.denoiser.model,
          ...{ train_scheduler: "SiTSampler", eval_scheduler: "ODE_heun2", adaptive_channel: true },
        },
      },
      channels: { counts: [1, 2, 4], draw: 2, always: "none" },
    },
    // Channels that are normalized, of latents in archives for WebDataset, and a distance of samples by which the best model goes.
    distance: {
      data: { path: at("latents-tar"), normalizeChannels: true },
      evaluate: [`fd:${at("latents-tar-autoencoder")}=${at("photos")}`],
      ...{ evaluateSamples: 6, best: "fd_latents-tar-autoencoder" },
    },
  };
  let latents: string;
  beforeAll(async () => {
    latents = await makeLatents(folder);
    await makeLatents(folder, "latents-tar", "--layout", "tar");
    mkdirSync(at("photos"), { recursive: true });
    for (let seed = 0; seed < 3; seed++) await makePicture(at("photos"), `${seed}.png`, 16, 16, seed);
  });

  /** What must be the same: weights and state at the end, the best model, and the pictures on the way. */
  function outcome(run: string): Record<string, string> {
    const { model, best, samples, checkpoints } = {
      model: contents(join(run, "model")),
      best: contents(join(run, "best")),
      samples: contents(join(run, "samples")),
      checkpoints: contents(join(run, "checkpoints", `step-${String(STEPS).padStart(8, "0")}`)),
    };
    const state = checkpoints["state.safetensors"];
    if (state === undefined) throw new Error(`${run}: no state at the end`);
    const named = Object.entries({ model, best, samples }).flatMap(([place, files]) =>
      Object.entries(files).map(([name, hash]) => [`${place}/${name}`, hash] as const),
    );
    return { state, ...Object.fromEntries(named) };
  }

  test.each(Object.entries(KINDS))("%s", async (kind, changes) => {
    const config = writeDiffusion(folder, `${kind}.json`, latents, {
      ...{ steps: STEPS, checkpointEvery: 2, evaluateEvery: 10, keep: 2, logEvery: 1 },
      ...changes,
    });
    const [killed, unkilled] = [at(`${kind}-killed`), at(`${kind}-whole`)];
    const train = (out: string, ...flags: string[]) => [
      ...["diffusion", "train", "--out", out, "--device", "cpu", "--threads", "1", ...flags],
    ];
    const log = join(killed, "metrics.jsonl");
    const options = {
      ...{ kills: 6, seed: 8, reach: 12, start: 600 },
      progress: () => (existsSync(log) ? readFileSync(log, "utf8").split("\n").length - 1 : 0),
    };
    // A run that was killed before it had begun has no settings yet.
    const argv = () =>
      existsSync(join(killed, "training.json")) ? train(killed, "--resume") : train(killed, "--config", config);
    expect(await killAndResume(argv, options)).toBeGreaterThanOrEqual(3);
    await whole(train(unkilled, "--config", config));
    const expected = outcome(unkilled);
    // Of the start, and of every tenth update.
    expect(Object.keys(expected).filter((name) => name.startsWith("samples/"))).toHaveLength(1 + STEPS / 10);
    expect(outcome(killed)).toEqual(expected);
    const left = readdirSync(join(killed, "checkpoints"));
    expect(left.filter((name) => !name.startsWith("step-"))).toEqual([]);
  });
});
