/** Batches of augmented diffusion training (DC-AE 1.5; diffusion.md section 8.6), and what a training with them refuses. */
import { Tensor } from "@dcae/core/graph";
import { type LatentDataset, objectiveOf, parseOfficialDenoiser } from "@dcae/diffusion";
import { expect, test } from "vitest";
import { drawCounts } from "../../src/data/channel-counts.js";
import { type DiffusionConfig, parseDiffusionConfig } from "../../src/diffusion/diffusion-config.js";
import { planDiffusion } from "../../src/diffusion/plan-diffusion.js";
import { latentBatches } from "../../src/diffusion/training-latents.js";

const KEYS = { input_size: 2, in_channels: 4, num_classes: 3, hidden_size: 8, depth: 2, num_heads: 2, patch_size: 1 };

function trainingOf(model: object, more: object): DiffusionConfig {
  return parseDiffusionConfig(
    {
      ...{ name: "tiny", about: "for tests", denoiser: { arch: "uvit", model: { ...KEYS, ...model } } },
      ...{ data: { path: "nowhere" }, plannedFor: { channels: 4, size: 2, classes: 3 }, batch: 2, steps: 4 },
      ...{ samples: null, optimizer: { schedule: { kind: "constant", lr: 1e-3 } } },
      ...more,
    },
    "test",
  );
}

/** Ten latents, each filled with its number. */
const latents = {
  length: 10,
  async read(indices: ArrayLike<number>) {
    const values = Float32Array.from({ length: indices.length * 16 }, (_, i) => indices[Math.floor(i / 16)] as number);
    return {
      latents: Tensor.float32(values, [indices.length, 4, 2, 2]),
      labels: new Tensor(
        "int32",
        Int32Array.from(indices, (index) => index % 3),
        [indices.length],
      ),
    };
  },
} as unknown as LatentDataset;

test("each batch of latents is seen with every count of its update, with noise and times of its own", async () => {
  const { config, recipe } = parseOfficialDenoiser("uvit", { ...KEYS, adaptive_channel: true });
  const objective = objectiveOf(recipe);
  const channels = { counts: [1, 2, 4], draw: 2, always: "largest" as const };
  const open = (position: unknown, changes: { channels?: typeof channels | null } = {}) =>
    latentBatches({ latents, config, objective, batch: 2, accumulate: 2, channels, seed: 7, ...changes }, position);
  const take = async (batches: ReturnType<typeof open>, count: number) => {
    const taken = [];
    for (let i = 0; i < count; i++) {
      const { inputs, images, position } = await batches.next();
      const of = (name: string) => Array.from(inputs[name]!.toFloat32());
      const counted = inputs.mask === undefined ? null : of("mask").reduce((sum, value) => sum + value, 0);
      const which = of("latents").filter((_, j) => j % 16 === 0);
      taken.push({ which, counted, images, position, noise: of("noise"), time: of("time"), labels: of("labels") });
    }
    await batches.close();
    return taken;
  };
  // Four updates of two batches with two counts each.
  const all = await take(open(undefined), 16);
  for (let update = 0; update < 4; update++) {
    const counts = drawCounts(channels, 7, update);
    const rows = all.slice(4 * update, 4 * update + 4);
    expect(rows.map(({ counted }) => counted)).toEqual([...counts, ...counts]);
    expect(rows.map(({ images }) => images)).toEqual([2, 0, 2, 0]);
    expect(rows[0]!.which).toEqual(rows[1]!.which);
    expect(rows[2]!.which).toEqual(rows[3]!.which);
    expect(rows[0]!.which).not.toEqual(rows[2]!.which);
  }
  expect(new Set(all.map(({ noise }) => noise.join())).size).toBe(16);
  expect(new Set(all.map(({ time }) => time.join())).size).toBe(16);
  expect(await take(open(all[7]!.position), 8)).toEqual(all.slice(8));
  // Without counts: the same latents, once each.
  const plain = await take(open(undefined, { channels: null }), 8);
  expect(plain.map(({ which }) => which)).toEqual(all.filter((_, i) => i % 2 === 0).map(({ which }) => which));
  expect(plain[0]!.counted).toBeNull();
});

test("plans say the counts; networks that take all channels only, and larger patches, are refused", async () => {
  const channels = { counts: [1, 2, 4], draw: 3, always: "smallest-and-largest" };
  const plan = await planDiffusion(trainingOf({ adaptive_channel: true }, { channels }));
  expect(plan.channels).toBe(
    "the first 1, 2, 4 of 4 latent channels, per update the smallest, the largest, 1 at random",
  );
  await expect(planDiffusion(trainingOf({}, { channels }))).rejects.toThrow(/the denoiser isn't adaptive/);
  await expect(planDiffusion(trainingOf({ adaptive_channel: true, patch_size: 2 }, { channels }))).rejects.toThrow(
    /patches of 1 position/,
  );
  const tooMany = { channels: { counts: [2, 8] } };
  await expect(planDiffusion(trainingOf({ adaptive_channel: true }, tooMany))).rejects.toThrow(
    /8 of 4 latent channels/,
  );
});
