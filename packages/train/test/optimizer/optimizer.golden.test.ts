/** Schedules, and trajectories of AdamW with clipping and averages, against the reference. */

import { add, cast, createProgram, input, parameter, Tensor, type Value, ZEROS } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { expectClose, expectWithin } from "@dcae/test-support/compare";
import type { RawConfig } from "@dcae/test-support/golden";
import { memoryWeights, NO_WEIGHTS } from "@dcae/test-support/weights";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stateParameter } from "../../src/optimizer/optimizer-row.js";
import { learningRate, type Schedule, scheduleEnd } from "../../src/optimizer/schedule.js";
import { emaUpdates } from "../../src/step/averages.js";
import { optimizerStep, stateProgram } from "../../src/step/training-step.js";
import { ENGINES } from "../support/engines.js";
import { goldenJson, goldenNames, loadGolden } from "../support/golden.js";

describe.each(Object.entries(ENGINES))("%s", (_, start) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine.dispose());

  /** DESIGN's tolerance of schedules: the graph computes in float32. */
  const SCHEDULE_TOLERANCE = 1e-6;

  function scheduleOf(config: RawConfig): Schedule {
    const warmup = { lr: config.lr, warmupLr: config.warmup_lr, warmupSteps: config.warmup_steps };
    switch (config.name) {
      case "ConstantLR":
        return { kind: "constant", lr: config.lr };
      case "ConstantLRwithWarmup":
        return { kind: "constant-warmup", ...warmup };
      case "CosineLRwithWarmup":
        return { kind: "cosine-warmup", ...warmup, decaySteps: config.decay_steps };
      case "WSDCosineLR":
        return {
          kind: "warmup-stable-decay",
          ...warmup,
          stableSteps: config.stable_steps,
          totalSteps: config.total_steps,
        };
      case "CosineAnnealingLR":
        return { kind: "cosine", lr: config.lr, maxSteps: config.max_steps };
      default:
        throw new Error(`unknown schedule ${config.name}`);
    }
  }

  /** The reference up to the schedule's end: behind it the official cosines climb again, and ours stay. */
  function untilEnd(schedule: Schedule, rates: readonly number[], reference: Tensor): void {
    const end = Math.min(scheduleEnd(schedule) ?? rates.length, rates.length);
    const expected = [...reference.toFloat32()].slice(0, end);
    expectClose(Tensor.float32(rates.slice(0, end)), Tensor.float32(expected), SCHEDULE_TOLERANCE);
    expect(rates.slice(end)).toEqual(rates.slice(end).map(() => 0));
  }

  describe("lr_schedules", () => {
    test.each(Object.keys(goldenJson("lr_schedules").config.schedules))("%s", async (name) => {
      const golden = await loadGolden("lr_schedules");
      const config = golden.config.schedules[name];
      const step = stateParameter("step", [], "int32");
      const rate = learningRate(scheduleOf(config), cast(step, "float32"));
      const state = await engine.createState(memoryWeights([["step", Tensor.zeros([], "int32")]]));
      const program = await engine.load(createProgram(name, { rate }, { step: add(step, 1) }), NO_WEIGHTS, { state });
      const rates: number[] = [];
      for (let s = 0; s < config.run_steps; s++) rates.push((await program.run({})).rate!.at() as number);
      untilEnd(scheduleOf(config), rates, golden.tensor(`out.${name}`));
    });
  });

  describe("lr_schedules of diffusion trainings", () => {
    const rates: Record<string, (config: RawConfig) => Schedule> = {
      constant_with_warmup: ({ lr, warmup_lr: warmupLr, warmup_steps: warmupSteps }) => ({
        kind: "constant-warmup",
        ...{ lr, warmupLr, warmupSteps },
      }),
      cosine_with_warmup: ({ lr, warmup_lr: warmupLr, warmup_steps: warmupSteps, decay_steps: decaySteps }) => ({
        kind: "cosine-warmup",
        ...{ lr, warmupLr, warmupSteps, decaySteps },
      }),
      cosine_annealing: ({ lr, t_max: maxSteps }) => ({ kind: "cosine", lr, maxSteps }),
    };

    test.each(Object.entries(rates))("%s", async (name, schedule) => {
      const { config, tensor } = await loadGolden("lr_schedules", "diffusion");
      const step = input("step", []);
      const rate = learningRate(schedule(config), step);
      const program = await engine.load(createProgram(name, { rate }), NO_WEIGHTS);
      const values: number[] = [];
      for (let s = 0; s < config.n; s++)
        values.push((await program.run({ step: Tensor.full([], s) })).rate!.at() as number);
      untilEnd(schedule(config), values, tensor(`out.${name}`));
    });

    test("ema_decay, by what an average of 0 takes of a 1", async () => {
      const { config, tensor } = await loadGolden("lr_schedules", "diffusion");
      const weight = { name: "one", value: input("one", []) };
      const options = { decay: config.ema_decay, warmupSteps: config.ema_warmup };
      const [[name, average]] = [...emaUpdates([weight], input("count", []), options)] as [[string, Value]];
      const start = memoryWeights([[name, Tensor.zeros([])]]);
      const program = await engine.load(createProgram("average", { average }), start);
      const taken: number[] = [];
      for (let count = 1; count <= config.n; count++) {
        const { average: share } = await program.run({ one: Tensor.full([], 1), count: Tensor.full([], count) });
        taken.push(share!.at() as number);
      }
      const decays = tensor("out.ema_decay");
      const rest = new Tensor(
        "float64",
        (decays.data as Float64Array).map((decay) => 1 - decay),
        decays.shape,
      );
      expectClose(Tensor.float32(taken), rest, SCHEDULE_TOLERANCE);
    });
  });

  const zeros = (shape: readonly number[]) => Tensor.zeros(shape);

  describe.each(goldenNames("adamw_trajectory"))("%s", (name) => {
    test("trajectory", async () => {
      const { config, tolerance, tensor, below } = await loadGolden(name);
      const names = config.param_order as string[];
      const initial = below("in.param.");
      const weights = names.map((key) => {
        const { shape } = initial.get(key)!;
        return { name: key, value: parameter({ name: key, shape, dtype: "float32", init: ZEROS, trainable: true }) };
      });
      const gradients = weights.map(({ name: key, value }) => input(`gradient.${key}`, value.shape));
      const step = optimizerStep(
        { weights, gradients, buffers: new Map(), metrics: {} },
        {
          name: "test",
          kind: "adamw",
          schedule: scheduleOf({ ...config.scheduler, lr: config.lr }),
          betas: config.betas,
          eps: config.eps,
          weightDecay: config.weight_decay,
          noDecay: config.no_wd_keys,
          clipNorm: config.clip_grad,
          averages: [{ decay: config.ema_decay, warmupSteps: config.ema_warmup_steps }],
        },
      );
      const program = stateProgram("step", step);
      const state = await engine.createState(
        memoryWeights(
          [...program.parameters.values()].map(({ name: key, shape, dtype }) => {
            const source = initial.get(key) ?? initial.get(key.replace(`ema.${config.ema_decay}.`, ""));
            return [key, source ?? (dtype === "int32" ? Tensor.zeros(shape, dtype) : zeros(shape))] as const;
          }),
        ),
      );
      const loaded = await engine.load(program, NO_WEIGHTS, { state });
      expect(config.steps).toBeGreaterThan(0);
      for (let s = 0; s < config.steps; s++) {
        const feeds = names.map((key) => [`gradient.${key}`, tensor(`in.grad.${key}`).row(s)] as const);
        const { learning_rate: lr, gradient_norm: norm } = await loaded.run(Object.fromEntries(feeds));
        expectClose(lr!, tensor("out.lr").row(s), SCHEDULE_TOLERANCE, `lr ${s}`);
        expectClose(norm!, tensor("out.grad_norm").row(s), 1e-6, `norm ${s}`);
        for (const key of names) {
          expectWithin(await state.read(key), tensor(`out.param.${key}`).row(s), tolerance, `${key} ${s}`);
          const average = await state.read(`ema.${config.ema_decay}.${key}`);
          expectWithin(average, tensor(`out.ema.${key}`).row(s), tolerance, `ema ${key} ${s}`);
        }
      }
      for (const key of names) {
        expectWithin(await state.read(`adamw.test.m.${key}`), tensor(`out.exp_avg.${key}`), tolerance, `m ${key}`);
        expectWithin(await state.read(`adamw.test.v.${key}`), tensor(`out.exp_avg_sq.${key}`), tolerance, `v ${key}`);
      }
      expect((await state.read("adamw.test.step")).at()).toBe(config.steps);
    });
  });
});
