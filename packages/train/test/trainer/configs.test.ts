/** Trainings as data: recipes, settings, patterns, plans. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { add, createProgram, input, mul, parameter, reshape } from "@dcae/core/graph";
import { programMemory } from "@dcae/core/runtime";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, test } from "vitest";
import { loadTrainingConfig, recipeNames, trainingRecipe, trainingRecipes } from "../../src/configs/load-config.js";
import { overrideConfig } from "../../src/configs/override.js";
import { resolveSchedule } from "../../src/configs/run-schedule.js";
import { parseTrainingConfig } from "../../src/configs/schema.js";
import { namePatterns } from "../../src/step/training-rule.js";
import { estimateMemory } from "../../src/trainer/estimate-memory.js";
import { describeModel } from "../../src/trainer/phase-start.js";
import { formatPlan, planTraining } from "../../src/trainer/plan-training.js";
import { TINY_PHASES, tinyTraining } from "../support/tiny-training.js";

const folder = temporaryFolder();

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
    expect(three!.gan!.optimizer).toMatchObject({ betas: [0.5, 0.9] });
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
  // x, whose memory a takes; then a, which is read last of all, with the one between, in whose memory the next is written.
  const memory = estimateMemory([program]);
  expect(memory).toMatchObject({ frozen: 0, state: 2048, activations: 2048, total: 4096 });
  // The same model as a limit of memory is kept with.
  expect(memory.process).toBe(programMemory(program).base + programMemory(program).running);
  expect(memory.process).toBeGreaterThan(memory.total);
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
    ["data.sources.length=-1", /there is no "length"/],
    ["data.sources.length=0", /there is no "length"/],
    ["phases.01x=1", /there is no "01x"/],
    ["phases.3={}", /there is no "3"/],
    ["phases.-1.steps=2", /there is no "-1"/],
    ["phases.push=1", /there is no "push"/],
    ["phases.constructor.prototype.x=1", /there is no "constructor"/],
    ["__proto__=1", /there is no "__proto__"/],
    ["__proto__.polluted=1", /there is no "__proto__"/],
    ["phases.0.constructor=1", /there is no "constructor"/],
    ["data.toString.x=1", /there is no "toString"/],
    ['data={"__proto__":{"sources":[]}}', /data/],
    ["data..flip=true", /there is no ""/],
    ["phases.0.steps=1e400", /phases\.0\.steps/],
    ["phases.0.steps=1e300", /phases\.0\.steps/],
    ["phases.0.steps=9007199254740993", /phases\.0\.steps/],
    ["phases.0.batch=1000000000000", /phases\.0\.batch/],
    ["phases.0.size=1000000000000", /phases\.0\.size/],
    ["phases.0.optimizer.schedule.lr=1e300", /phases\.0\.optimizer\.schedule\.lr/],
    ["phases.0.l1Weight=1e39", /phases\.0\.l1Weight/],
    ["phases.0.optimizer.schedule.lr=-0.1", /phases\.0\.optimizer\.schedule\.lr/],
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
    await expect(loadTrainingConfig(path)).rejects.toThrow(/training\.json isn't valid JSON/);
    await writeFile(path, `{"extends":${"[".repeat(1e5)}${"]".repeat(1e5)}}`);
    await expect(loadTrainingConfig(path)).rejects.toThrow(/training\.json is nested deeper than 100 levels/);
    await writeFile(path, "version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 337\n");
    await expect(loadTrainingConfig(path)).rejects.toMatchObject({ hint: expect.stringContaining("git lfs pull") });
    await expect(loadTrainingConfig(join(folder, "absent.json"))).rejects.toThrow(/absent\.json/);
    await expect(loadTrainingConfig("nonsense")).rejects.toThrow(/there is no training named "nonsense"/);
  });

  test("may extend a recipe or another file", async () => {
    const write = async (name: string, value: object) => {
      await writeFile(join(folder, name), JSON.stringify(value));
      return join(folder, name);
    };
    const recipe = trainingRecipe("small-f32");
    const mine = await write("mine.json", {
      extends: "small-f32",
      name: "mine",
      data: { sources: [{ kind: "scenes" }] },
      phases: { "phase1-decay": { steps: 500 }, "0": { optimizer: { clipNorm: null } } },
    });
    const config = await loadTrainingConfig(mine);
    expect(config).toMatchObject({ name: "mine", about: recipe.about, model: recipe.model, results: null });
    expect([config.command, config.expectedTime]).toEqual([undefined, null]);
    // Objects are merged, lists of other things replaced.
    expect(config.data).toMatchObject({ crop: "random-resized", flip: true, sources: [{ kind: "scenes" }] });
    expect(config.phases.map(({ steps }) => steps)).toEqual([1500, 500, 300, 300]);
    expect(config.phases[0]!.optimizer).toEqual({ ...recipe.phases[0]!.optimizer, clipNorm: null });
    // An object of another kind isn't merged.
    const flat = { optimizer: { schedule: { kind: "constant", lr: 1 } } };
    const both = await write("both.json", { extends: "./mine.json", phases: { phase2: flat } });
    expect((await loadTrainingConfig(both)).phases[2]!.optimizer).toMatchObject({ ...flat.optimizer, clipNorm: 1 });

    const wrong = async (value: object) => loadTrainingConfig(await write("wrong.json", value));
    await expect(wrong({ extends: "nothing" })).rejects.toThrow(/there is no training named "nothing"/);
    await expect(wrong({ extends: 3 })).rejects.toThrow(/wrong\.json: extends must be a recipe's name/);
    await expect(wrong({ extends: "mine.json", phases: { phase9: {} } })).rejects.toThrow(
      /wrong\.json\.phases: there is no "phase9"/,
    );
    await expect(wrong({ extends: "mine.json", stepz: 1 })).rejects.toThrow(/wrong\.json: .*stepz/);
    await expect(wrong({ extends: "wrong.json" })).rejects.toThrow(/extends wrong\.json, which extends it again/);
    await write("circle.json", { extends: "wrong.json" });
    await expect(wrong({ extends: "circle.json" })).rejects.toThrow(/which extends it again/);
  });

  test("what can't be is refused with the name of the field", () => {
    const phase = TINY_PHASES.one;
    expect(() => tinyTraining([{ ...phase, steps: 0 }])).toThrow(/phases\.0\.steps/);
    expect(() => tinyTraining([phase, phase])).toThrow(/two phases have the same name/);
    expect(() => tinyTraining([{ ...phase, ema: null, carry: "ema" }])).toThrow(/carry "ema" needs/);
    expect(() => tinyTraining([{ ...TINY_PHASES.three, size: 8 }])).toThrow(/phases\.0\.size: too small for the disc/);
    expect(() => planTraining(tinyTraining([phase]), undefined, true, 7)).toThrow(/can't be divided among 7 ranks/);
    expect(() => planTraining(tinyTraining([{ ...phase, size: 18 }]))).toThrow(/size 18 isn't a multiple of 4/);
    const nowhere = { kind: "names" as const, names: ["decoder", "decoder.stages.7"] };
    expect(() => planTraining(tinyTraining([{ ...phase, trains: nowhere }]))).toThrow(
      /"decoder\.stages\.7" matches no/,
    );
  });
});

describe("schedules", () => {
  const warmup = { lr: 1e-3, warmupLr: 0, warmupSteps: "10%" };

  test("follow the run unless they say otherwise", () => {
    const stable = { kind: "warmup-stable-decay" as const, ...warmup, stableSteps: "60%" };
    expect(resolveSchedule(stable, 1500)).toMatchObject({ warmupSteps: 150, stableSteps: 900, totalSteps: 1500 });
    expect(resolveSchedule(stable, 500)).toMatchObject({ warmupSteps: 50, stableSteps: 300, totalSteps: 500 });
    const cosine = { kind: "cosine-warmup" as const, ...warmup };
    expect(resolveSchedule(cosine, 200)).toMatchObject({ warmupSteps: 20, decaySteps: [180] });
    expect(resolveSchedule({ ...cosine, decaySteps: [5, 9] }, 200)).toMatchObject({ decaySteps: [5, 9] });
    expect(resolveSchedule({ kind: "cosine", lr: 1 }, 7)).toEqual({ kind: "cosine", lr: 1, maxSteps: 7 });
  });

  test("whose parts don't follow each other are refused", () => {
    const stable = { kind: "warmup-stable-decay" as const, ...warmup, stableSteps: 900 };
    expect(() => resolveSchedule(stable, 500)).toThrow(/stableSteps 900 isn't before the end of the decay, update 500/);
    const cosine = { kind: "cosine-warmup" as const, ...warmup, decaySteps: [9, 5] };
    expect(() => resolveSchedule(cosine, 500)).toThrow(/decaySteps 9, 5 don't ascend/);
    const set = (value: string) =>
      overrideConfig(tinyTraining(), [
        `phases.0.optimizer.schedule={"kind":"constant-warmup","lr":1,"warmupLr":0,"warmupSteps":${value}}`,
      ]);
    expect(() => set('"150%"')).toThrow(/warmupSteps: must be a whole number of updates, or a share of the run/);
    expect(set('"2.5%"').phases[0]!.optimizer.schedule).toMatchObject({ warmupSteps: "2.5%" });
  });

  test("of another length than the run are said in its plan", () => {
    const plan = (schedule: object, steps: number) =>
      formatPlan(planTraining(tinyTraining([{ ...TINY_PHASES.one, steps, optimizer: { schedule } as never }]))[0]!);
    const cosine = { kind: "cosine", lr: 1e-3 };
    expect(plan(cosine, 1500)).toContain("\n  learning rate: 0.001, by a cosine to 0 at update 1,500\n");
    expect(plan({ ...cosine, maxSteps: 12 }, 26)).toContain("the rate of the last 14 updates is 0\n");
    expect(plan({ ...cosine, maxSteps: 1500 }, 500)).toContain("ends before it does, after 500 of 1,500 updates\n");
    const ramp = { kind: "constant-warmup", lr: 1, warmupLr: 0, warmupSteps: 100 };
    expect(plan(ramp, 50)).toContain("after a warm-up of 100 updates; the run ends within the warm-up\n");
  });

  test("of networks that take turns have half of the run each", () => {
    const gan = { ...TINY_PHASES.three.gan, schedule: "alternate" as const };
    const optimizer = { schedule: { kind: "cosine" as const, lr: 1e-3 } };
    const phase = { ...TINY_PHASES.three, steps: 5, optimizer, gan: { ...gan, optimizer } };
    expect(planTraining(tinyTraining([phase]))[0]!.learningRates).toEqual({
      autoencoder: "0.001, by a cosine to 0 at update 3",
      discriminator: "0.001, by a cosine to 0 at update 2",
    });
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

test("the plan of ranks is that of one of them: its rows of a batch, and what it exchanges", () => {
  const config = tinyTraining([{ ...TINY_PHASES.one, size: 64, batch: 16 }]);
  const [[alone], [shared]] = [planTraining(config), planTraining(config, undefined, true, 4)];
  expect(shared!.picturesPerUpdate).toBe(16);
  expect(shared!.memory.activations).toBeLessThan(0.5 * alone!.memory.activations);
  expect(formatPlan(shared!)).toContain(" of 16 pictures, 4 by each of 4 ranks at 64x64");
  expect(formatPlan(alone!)).toContain(" of 16 pictures at 64x64");
});
