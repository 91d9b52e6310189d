/** Several sides of pictures in one phase: a program for each, which makes the very update that a phase of that side alone makes. */
import { createRandom, sizeOf, Tensor } from "@dcae/core/graph";
import { useEngine } from "@dcae/test-support/engine";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { describe, expect, test } from "vitest";
import type { TrainingConfigInput } from "../../src/configs/schema.js";
import { drawAugmentations } from "../../src/phases/diff-augment.js";
import { completeWeights, createTrainingState } from "../../src/step/training-state.js";
import { autoencoderStages } from "../../src/trainer/autoencoder-stages.js";
import { describeModel } from "../../src/trainer/phase-start.js";
import { formatPlan, planTraining } from "../../src/trainer/plan-training.js";
import { loadStages, stagePrograms } from "../../src/trainer/update-stage.js";
import { TINY_PHASES, tinyTraining } from "../support/tiny-training.js";

const engine = useEngine();
type Phase = TrainingConfigInput["phases"][number];

const SIZES = [
  { size: 8, share: 3 },
  { size: 16, share: 1 },
];
const MODEL = {
  latentChannels: 4,
  encoder: { widthList: [4, 8], depthList: [0, 1] },
  decoder: { widthList: [4, 8], depthList: [0, 1] },
};
const one: Phase = { ...TINY_PHASES.one, optimize: false };
const three: Phase = {
  ...TINY_PHASES.three,
  ...{ size: 16, optimize: false },
  gan: { ...TINY_PHASES.three.gan, layers: 1, augment: ["translation"] },
};

/** The state after updates on pictures of these sides. */
async function after(phase: Phase, sides: readonly number[]) {
  const config = tinyTraining([phase], { model: MODEL });
  const { accumulate, batch } = config.phases[0]!;
  const stages = autoencoderStages(config.phases[0]!, describeModel(config).config, null);
  const programs = stagePrograms(stages);
  const weights = completeWeights(programs, NO_WEIGHTS, 5);
  const state = await createTrainingState(engine, programs, weights);
  const loaded = await loadStages(engine, stages, accumulate, weights, state);
  for (const [step, side] of sides.entries()) {
    const batches = Array.from({ length: accumulate }, (_, i) => {
      const shape = [batch, 3, side, side];
      const random = createRandom(step, i);
      const x = Tensor.float32(random.uniform(new Float32Array(sizeOf(shape)), -1, 1), shape);
      return phase.gan == null ? { x } : { x, augment: drawAugmentations(1, step, batch, side) };
    });
    await loaded.update(step + 1, batches);
  }
  const all = await state.readAll();
  await loaded.dispose();
  await state.dispose();
  return { all, programs: programs.length };
}

describe.each([
  ["reconstruction", one, 1, [8, 16]],
  ["accumulated", { ...one, accumulate: 2 }, 1, [8]],
  ["alternating", { ...three, gan: { ...three.gan!, schedule: "alternate" as const } }, 2, [8]],
] as [string, Phase, number, number[]][])("%s", (_, phase, stages, sides) => {
  test("each side has its program, and its updates", async () => {
    const mixed = { ...phase, size: 16, sizes: SIZES };
    for (const [i, side] of sides.entries()) {
      const alone = await after({ ...phase, size: side }, [side, side]);
      const both = await after(mixed, [side, side]);
      // Beside those of one side alone, one more for each stage.
      expect(both.programs).toBe(alone.programs + stages);
      expect([...both.all.keys()].sort()).toEqual([...alone.all.keys()].sort());
      for (const [name, tensor] of alone.all) expect(both.all.get(name)!.bytes, `${i} ${name}`).toEqual(tensor.bytes);
    }
  });
});

test("one update goes on from another of another side", async () => {
  const mixed = { ...one, size: 16, sizes: SIZES };
  const [forth, back] = [await after(mixed, [8, 16]), await after(mixed, [16, 8])];
  const count = "adamw.autoencoder.step";
  expect([forth.all.get(count)?.at(), back.all.get(count)?.at()]).toEqual([2, 2]);
  const name = [...forth.all.keys()].find((key) => key.startsWith("decoder.project_in.")) as string;
  expect(forth.all.get(name)!.bytes).not.toEqual(back.all.get(name)!.bytes);
});

test("the plan says the sides; what can't be trained is refused", () => {
  const mixed = { ...one, size: 16, sizes: SIZES };
  const [plan] = planTraining(tinyTraining([mixed], { model: MODEL }));
  expect(plan).toMatchObject({ size: 16, sizes: SIZES });
  expect(formatPlan(plan!)).toContain("at 8x8 (75%), 16x16 (25%), evaluated at 16x16");
  const parse = (change: object) => () => tinyTraining([{ ...mixed, ...change } as Phase]);
  expect(parse({ size: 32 })).toThrow("phases.0.sizes: `size`, on which the phase is evaluated, must be one of them");
  expect(parse({ sizes: [SIZES[1], SIZES[1]] })).toThrow("phases.0.sizes: two of them are the same");
  expect(parse({ gan: { ...TINY_PHASES.three.gan, layers: 2 } })).toThrow("too small for the discriminator");
  const odd = tinyTraining([{ ...mixed, sizes: [{ size: 9, share: 1 }, SIZES[1]!] }], { model: MODEL });
  expect(() => planTraining(odd)).toThrow("phase1: size 9 isn't a multiple of 2");
});
