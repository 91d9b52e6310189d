/** DiffAugment: each change against plain loops, its gradient, its draws, and where in an update it takes part. */
import { conv } from "@dcae/core/blocks";
import { createProgram, createRandom, input, mul, reduceSum, sizeOf, Tensor } from "@dcae/core/graph";
import type { Engine, NamedTensors } from "@dcae/core/runtime";
import { expectClose } from "@dcae/test-support/compare";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/gradients.js";
import { type AdversarialOptions, adversarialStep } from "../../src/phases/adversarial.js";
import {
  AUGMENTATIONS,
  type Augmentation,
  augment,
  augmentDraws,
  drawAugmentations,
} from "../../src/phases/diff-augment.js";
import { completeWeights, createTrainingState } from "../../src/step/training-state.js";
import { stateProgram } from "../../src/step/training-step.js";
import { ENGINES } from "../support/engines.js";

const [N, C, H, W] = [2, 3, 6, 8];
const random = createRandom(4, "test");
const values = (shape: readonly number[]) =>
  Tensor.float32(random.uniform(new Float32Array(sizeOf(shape)), -1, 1), shape);

/** What a picture becomes, by loops over its pixels. */
function byHand(x: Float32Array, policy: readonly Augmentation[], draws: readonly number[]): Float32Array {
  const [lit, saturation, contrast, down, right, top, left] = draws as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  let data = x.slice();
  const at = (c: number, y: number, z: number) => (c * H + y) * W + z;
  const within = (place: number, side: number) => place >= 0 && place < side;
  const each = (change: (c: number, y: number, z: number) => number) => {
    const next = new Float32Array(data.length);
    for (let c = 0; c < C; c++)
      for (let y = 0; y < H; y++) for (let z = 0; z < W; z++) next[at(c, y, z)] = change(c, y, z);
    data = next;
  };
  for (const name of policy) {
    if (name === "color") {
      data = data.map((value) => value + lit);
      const grey = (y: number, z: number) => [0, 1, 2].reduce((sum, c) => sum + data[at(c, y, z)]!, 0) / C;
      each((c, y, z) => (data[at(c, y, z)]! - grey(y, z)) * saturation + grey(y, z));
      const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
      data = data.map((value) => (value - mean) * contrast + mean);
    } else if (name === "translation") {
      each((c, y, z) => (within(y - down, H) && within(z - right, W) ? data[at(c, y - down, z - right)]! : 0));
    } else {
      each((c, y, z) => (y >= top && y < top + 3 && z >= left && z < left + 4 ? 0 : data[at(c, y, z)]!));
    }
  }
  return data;
}

/** Of two pictures: brightness, saturation, contrast, shifts, and squares that stand over the edge. */
const DRAWS = [
  [0.3, 1.7, 0.6, 1, -1, -1, 2],
  [-0.2, 0, 1.4, -1, 0, 4, 6],
];
/** In the row of the pass that is looked at; the others would show. */
const drawsIn = (pass: number, rows: readonly (readonly number[])[] = DRAWS) => {
  const data = new Float32Array(3 * N * 7).fill(9);
  data.set(rows.flat(), pass * N * 7);
  return Tensor.float32(data, [3, N, 7]);
};

const gan: AdversarialOptions = {
  reconstruct: (scope, x) => conv(scope.at("decoder"), x, { outChannels: 3 }),
  images: [N, 3, 16, 16],
  lpipsWeight: 0,
  trains: (name) => name.startsWith("decoder."),
  lastLayer: null,
  discriminator: { width: 2, layers: 1 },
  generatorOptimizer: { name: "autoencoder", kind: "adamw", schedule: { kind: "constant", lr: 0.01 } },
  discriminatorOptimizer: { name: "discriminator", kind: "adamw", schedule: { kind: "constant", lr: 0.01 } },
};

describe.each(Object.entries(ENGINES))("%s", (_, start) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine.dispose());

  const run = async (outputs: Parameters<typeof createProgram>[1], inputs: NamedTensors) => {
    const loaded = await engine.load(createProgram("augment", outputs), NO_WEIGHTS);
    return loaded.run(inputs);
  };

  test.each([
    ...AUGMENTATIONS.map((name) => [name]),
    ["color", "translation", "cutout"],
    ["cutout", "color"],
  ] as Augmentation[][])("%s %s %s", async (...policy) => {
    const names = policy.filter((name) => name !== undefined);
    const picture = values([N, C, H, W]);
    const x = input("x", [N, C, H, W]);
    const weight = values([N, C, H, W]);
    const w = input("w", weight.shape);
    const y = augment(x, names, augmentDraws(N), "real");
    const [gradient] = gradients(reduceSum(mul(y, w)), [x]);
    const result = await run({ y, gradient: gradient! }, { x: picture, w: weight, augment: drawsIn(1) });
    const expected = DRAWS.flatMap((draws, n) => [...byHand(picture.row(n).toFloat32(), names, draws)]);
    expectClose(result.y!, Tensor.float32(expected, [N, C, H, W]), 1e-6);
    // It is affine: w (T(x) - T(0)) = (T' w) x.
    const zero = DRAWS.flatMap((draws) => [...byHand(new Float32Array(C * H * W), names, draws)]);
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Array.from(a).reduce((sum, value, i) => sum + value * (b[i] as number), 0);
    const forward = dot(
      weight.toFloat32(),
      expected.map((value, i) => value - zero[i]!),
    );
    expect(dot(result.gradient!.toFloat32(), picture.toFloat32())).toBeCloseTo(forward, 4);
  });

  test("takes part in each pass of an update with that pass's draws", async () => {
    const program = stateProgram("step", adversarialStep({ ...gan, augment: ["color", "translation", "cutout"] }));
    const plain = stateProgram("plain", adversarialStep(gan));
    expect([...plain.inputs.keys()]).toEqual(["x"]);
    const x = values([N, 3, 16, 16]);
    const update = async (which: typeof program, inputs: NamedTensors) => {
      const weights = completeWeights([which], NO_WEIGHTS, 5);
      const state = await createTrainingState(engine, [which], weights);
      const loaded = await engine.load(which, weights, { state });
      const { g_loss, d_loss } = await loaded.run(inputs);
      return { g: g_loss!.at() as number, d: d_loss!.at() as number, state: await state.readAll() };
    };
    const nothing = [0, 1, 1, 0, 0, 16, 16];
    const draws = (changed?: number) => {
      const rows = [0, 1, 2].map((pass) => (pass === changed ? [0.4, 0.2, 0.6, 2, -2, 3, 4] : nothing));
      return Tensor.float32(
        rows.flatMap((row) => [...row, ...row]),
        [3, N, 7],
      );
    };
    const without = await update(plain, { x });
    const still = await update(program, { x, augment: draws() });
    expect([still.g, still.d]).toEqual([expect.closeTo(without.g, 5), expect.closeTo(without.d, 5)]);
    const of = await Promise.all([0, 1, 2].map((pass) => update(program, { x, augment: draws(pass) })));
    // The generator's own pass changes its loss and its weights; the discriminator's passes change only its loss.
    const weightOf = ({ state }: typeof still) => state.get("decoder.conv.weight") ?? state.get("decoder.weight");
    expect(Math.abs(of[0]!.g - still.g)).toBeGreaterThan(1e-4);
    expect(weightOf(of[0]!)?.bytes).not.toEqual(weightOf(still)?.bytes);
    for (const pass of [1, 2]) {
      expect(of[pass]!.g).toBe(still.g);
      expect(weightOf(of[pass]!)?.bytes).toEqual(weightOf(still)?.bytes);
      expect(Math.abs(of[pass]!.d - still.d)).toBeGreaterThan(1e-4);
    }
    expect(of[1]!.d).not.toBe(of[2]!.d);
  });
});

test("draws follow from the seed and the place in the data, each within its range", () => {
  const all = drawAugmentations(3, 0, 400, 16);
  const part = drawAugmentations(3, 250, 2, 16);
  const row = (tensor: Tensor, pass: number, n: number) => [
    ...tensor
      .row(pass)
      .toFloat32()
      .slice(n * 7, n * 7 + 7),
  ];
  for (const pass of [0, 1, 2]) {
    expect([row(part, pass, 0), row(part, pass, 1)]).toEqual([row(all, pass, 250), row(all, pass, 251)]);
  }
  expect(row(all, 0, 0)).not.toEqual(row(all, 1, 0));
  expect(drawAugmentations(4, 250, 2, 16).bytes).not.toEqual(part.bytes);
  const column = (i: number) => Array.from({ length: 1200 }, (_, n) => all.toFloat32()[n * 7 + i]!);
  const range = (i: number) => [Math.min(...column(i)), Math.max(...column(i))];
  for (const [i, low, high] of [
    [0, -0.5, 0.5],
    [1, 0, 2],
    [2, 0.5, 1.5],
  ] as const) {
    const [least, most] = range(i) as [number, number];
    expect(least).toBeGreaterThanOrEqual(low);
    expect(most).toBeLessThanOrEqual(high);
    expect(most - least).toBeGreaterThan(0.95 * (high - low));
  }
  // Whole pixels: an eighth of the side each way; squares of 8 whose center is any of 17 places.
  expect([range(3), range(4), range(5), range(6)]).toEqual([
    [-2, 2],
    [-2, 2],
    [-4, 12],
    [-4, 12],
  ]);
  expect(new Set(column(5)).size).toBe(17);
});
