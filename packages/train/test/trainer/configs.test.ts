/** Trainings as data: recipes, settings, patterns, plans. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { add, createProgram, input, mul, parameter, reshape } from "@dcae/core/graph";
import { describe, expect, test } from "vitest";
import {
  describeModel,
  estimateMemory,
  formatPlan,
  loadTrainingConfig,
  namePatterns,
  overrideConfig,
  parseTrainingConfig,
  planTraining,
  recipeNames,
  trainingRecipe,
  trainingRecipes,
} from "../../src/index.js";
import { temporaryFolder } from "../support/temporary-folder.js";
import { TINY_PHASES, tinyTraining } from "../support/tiny-training.js";

const folder = await temporaryFolder();

describe("recipes", () => {
  test("have names of their own, a command, and no results that nobody measured", () => {
    expect(recipeNames()).toContain("small-f32-scenes");
    for (const [i, recipe] of trainingRecipes().entries()) {
      expect(recipe.name).toBe(recipeNames()[i]);
      expect(describeModel(recipe).kind).toBe("dc-ae");
      expect(recipe.command).toBe(`dcae train --config ${recipe.name}`);
      expect(parseTrainingConfig(JSON.parse(JSON.stringify(recipe)))).toEqual(recipe);
    }
  });

  test("take over what is published", () => {
    const [one, two, three] = trainingRecipe("f32c32-imagenet").phases;
    expect([one, two, three].map((phase) => phase!.optimizer.schedule.lr)).toEqual([6.4e-5, 1.6e-5, 5.4e-5]);
    expect([one, two, three].map((phase) => phase!.optimizer.weightDecay)).toEqual([0.1, 0.001, 0]);
    expect(three!.gan!.optimizer.betas).toEqual([0.5, 0.9]);
    expect([one!.gan, two!.gan]).toEqual([null, null]);
  });

  test("the ablations differ from the base in what they are about", () => {
    const [base, plain] = ["small-f32-scenes", "small-f32-scenes-no-shortcuts"].map(trainingRecipe);
    expect(plain!.phases).toEqual(base!.phases.slice(0, 1));
    expect(plain!.data).toEqual(base!.data);
    const values = [base!, plain!].map((recipe) => planTraining(recipe, ["phase1"])[0]!.modelValues);
    expect(values[0]).toBe(values[1]);
  });
});

test("published architectures train what the reference counts, without a number of ours", () => {
  const [one, two, three] = planTraining(trainingRecipe("f32c32-imagenet"));
  expect([one!.trainedValues, two!.trainedValues, three!.trainedValues]).toEqual([323_356_460, 68_076_576, 10_649_868]);
  const narrow = planTraining(trainingRecipe("f32c32-imagenet-narrow"));
  expect(narrow.slice(1).map(({ trainedValues }) => trainedValues)).toEqual([590_880, 28_172]);
  // Weights, two moments and accumulated gradients, float32, each twice; and the counter.
  expect(two!.memory.state).toBe(4 * 2 * 4 * 68_076_576 + 2 * 4);
  const text = formatPlan(three!);
  expect(text).toContain("trains 10,649,868 of 323,356,460 parameters");
  expect(text).toContain("L1 + LPIPS + GAN (hinge)");
  expect(text).toMatch(/decoder\.project_out +28,172 in \d+ tensors/);
});

test("memory: values live from where they are made to where they are last read", () => {
  const x = input("x", [256]);
  const weight = parameter({
    name: "w",
    shape: [256],
    dtype: "float32",
    init: { kind: "constant", value: 0 },
    trainable: true,
  });
  const a = mul(x, weight);
  const b = reshape(mul(a, a), [16, 16]);
  const c = reshape(mul(b, b), [256]);
  const program = createProgram("p", {}, { w: add(c, a) });
  // x until a is there; then a, which is read last of all, with one or two of the values between.
  expect(estimateMemory([program])).toEqual({ frozen: 0, state: 2048, activations: 3072, total: 5120 });
});

describe("settings", () => {
  test("replace values anywhere, by number or by name", () => {
    const changed = overrideConfig(tinyTraining(), [
      "phases.phase2.steps=7",
      "phases.*.logEvery=5",
      "phases.2.gan.loss=vanilla",
      "data.flip=false",
      'data.sources=[{"kind":"folder","path":"somewhere"}]',
      "init=some/checkpoint",
    ]);
    expect(changed.phases.map(({ steps, logEvery }) => [steps, logEvery])).toEqual([
      [6, 5],
      [7, 5],
      [4, 5],
    ]);
    expect(changed.phases[2]!.gan!.loss).toBe("vanilla");
    expect(changed.data).toMatchObject({ flip: false, sources: [{ kind: "folder", path: "somewhere" }] });
    expect(changed.init).toBe("some/checkpoint");
  });

  test.each([
    ["steps", /expected key=value/],
    ["phases.9.steps=1", /there is no "9"/],
    ["nothing.there=1", /there is no "nothing"/],
    ["phases.phase1.steps=-1", /phases\.0\.steps/],
    ["phases.phase1.stepz=3", /stepz/],
    ["seed.more=1", /"seed" has no parts/],
  ])("%s is refused", (setting, message) => {
    expect(() => overrideConfig(tinyTraining(), [setting])).toThrow(message);
  });
});

describe("files", () => {
  test("have the form of recipes", async () => {
    const path = join(folder, "training.json");
    await writeFile(path, JSON.stringify(tinyTraining()));
    expect(await loadTrainingConfig(path)).toEqual(tinyTraining());
    await writeFile(path, "{");
    await expect(loadTrainingConfig(path)).rejects.toThrow(/training\.json: not JSON/);
    await expect(loadTrainingConfig(join(folder, "absent.json"))).rejects.toThrow(/absent\.json/);
    await expect(loadTrainingConfig("nonsense")).rejects.toThrow(/there is no training named "nonsense"/);
  });

  test("what can't be is refused with the name of the field", () => {
    const phase = TINY_PHASES.one;
    expect(() => tinyTraining([{ ...phase, steps: 0 }])).toThrow(/phases\.0\.steps/);
    expect(() => tinyTraining([phase, phase])).toThrow(/two phases have the same name/);
    expect(() => tinyTraining([{ ...phase, ema: null, carry: "ema" }])).toThrow(/carry "ema" needs/);
    const gan = { ...TINY_PHASES.three.gan, schedule: "alternate" as const };
    expect(() => tinyTraining([{ ...TINY_PHASES.three, gan, accumulate: 2 }])).toThrow(/alternating updates/);
    expect(() => tinyTraining([{ ...TINY_PHASES.three, size: 8 }])).toThrow(/phases\.0\.size: too small for the disc/);
    expect(() => planTraining(tinyTraining([{ ...phase, size: 18 }]))).toThrow(/size 18 isn't a multiple of 4/);
    const nowhere = { kind: "names" as const, names: ["decoder", "decoder.stages.7"] };
    expect(() => planTraining(tinyTraining([{ ...phase, trains: nowhere }]))).toThrow(
      /"decoder\.stages\.7" matches no/,
    );
  });
});

test("patterns stand for places and what lies below them", () => {
  const rule = namePatterns(["decoder.project_out", "encoder.stages.*.conv1"]);
  expect(rule("decoder.project_out.op_list.0.weight")).toBe(true);
  expect(rule("decoder.project_out.")).toBe(true);
  expect(rule("decoder.project_output.weight")).toBe(false);
  expect(rule("encoder.stages.3.op_list.0.main.conv1.conv.weight")).toBe(true);
  expect(rule("encoder.stages.3.op_list.0.main.conv2.conv.weight")).toBe(false);
  expect(namePatterns(["decoder.stages.1"])("decoder.stages.10.weight")).toBe(false);
});
