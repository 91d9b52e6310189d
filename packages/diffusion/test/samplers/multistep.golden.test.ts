import { Tensor } from "@dcae/core/graph";
import { expectGolden } from "@dcae/test-support/golden";
import { describe, expect, it } from "vitest";
import type { Model, Sampler, SamplerStep } from "../../src/samplers/sampler.js";
import {
  dpmSolverSinglestep,
  flowSigmaGrid,
  gaussianSigmaGrid,
  sanaSampler,
  uniPc,
} from "../../src/samplers/sigma-samplers.js";
import { uniSampler, uniSde } from "../../src/samplers/uni-sampler.js";
import { gaussianSchedule } from "../../src/schedules/gaussian-schedule.js";
import { noiseSchedule } from "../../src/schedules/noise-schedule.js";
import { closedForm, recordedNoise, withShape } from "../support/closed-form.js";
import { goldenNames, loadGolden } from "../support/golden.js";

const defined = (options: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

describe("the configurable sampler", () => {
  it.each(goldenNames("uni_analytic"))("%s", async (name) => {
    const golden = await loadGolden(name);
    const { uni, steps } = golden.config;
    const schedule = noiseSchedule(uni.noise_schedule ?? "linear_flow");
    const reverse = uni.reverse_time ?? false;
    const prediction = uni.model_prediction_type ?? "velocity";
    const timeInput = uni.time_input_type ?? "continuous";
    const form = closedForm(golden);
    const times: number[] = [];
    const model: Model = async (x, fed) => {
      times.push(fed);
      const unscaled = timeInput === "continuous" ? fed : (fed + (timeInput === "discrete_999" ? 1 : 0)) / 1000;
      const t = reverse ? 1 - unscaled : unscaled;
      const [values, alpha, sigma] = [x.toFloat32(), schedule.alpha(t), schedule.sigma(t)];
      const [noise, data] = [form.noise(values, alpha, sigma), form.data(values, alpha, sigma)];
      if (prediction === "noise") return withShape(noise, x);
      if (prediction === "data") return withShape(data, x);
      const sign = reverse ? -1 : 1;
      return withShape(
        data.map((d, i) => sign * (schedule.dAlpha(t) * d + schedule.dSigma(t) * noise[i]!)),
        x,
      );
    };
    const shared = defined({
      steps,
      schedule: uni.noise_schedule,
      prediction: uni.model_prediction_type,
      timeInput: uni.time_input_type,
      reverseTime: uni.reverse_time,
      spacing: uni.skip_type,
      startTime: uni.t_start ?? 1,
      endTime: uni.t_end,
    });
    const sampler: Sampler =
      uni.solver === "SDE_Solver"
        ? uniSde({
            ...shared,
            ...defined({ method: uni.sde_algorithm_type, diffusion: uni.sde_diffusion_coefficient }),
          })
        : uniSampler({
            ...shared,
            ...defined({ order: uni.solver_order, solverPrediction: uni.solver_prediction_type }),
            solver: uni.solver === "UniPC" ? "unipc" : "dpm",
          });
    const run = golden.tensors.has("in.step_noise") ? { drawNoise: recordedNoise(golden) } : {};
    expectGolden(golden, "out.x", await sampler(model, golden.tensor("in.x"), run));
    expectGolden(golden, "out.nfe_t", Float32Array.from(times));
  });

  it("refuses to start where nothing of the data is left", () => {
    expect(() => uniSampler({ startTime: 1 })).toThrow(/nothing of the data is left/);
  });
});

describe("samplers on sigmas", () => {
  const samplers = { UniPC: uniPc, DPMSolverSinglestep: dpmSolverSinglestep, SanaScheduler: sanaSampler };

  it.each(goldenNames("diffusers"))("%s", async (name) => {
    const golden = await loadGolden(name);
    const { scheduler, steps } = golden.config as { scheduler: keyof typeof samplers; steps: number };
    const form = closedForm(golden);
    const { alphasCumprod } = gaussianSchedule();
    const grid = scheduler === "SanaScheduler" ? flowSigmaGrid(steps) : gaussianSigmaGrid(steps);
    const sigmas = grid.map(({ alpha, sigma }) => (scheduler === "SanaScheduler" ? sigma : sigma / alpha));
    expectGolden(golden, "out.sigmas", sigmas);
    const [times, states]: [number[], SamplerStep[]] = [[], []];
    const model: Model = async (x, t) => {
      times.push(t);
      const values = x.toFloat32();
      if (scheduler === "SanaScheduler") {
        const noise = form.noise(values, 1 - t / 1000, t / 1000);
        return withShape(
          form.data(values, 1 - t / 1000, t / 1000).map((d, i) => noise[i]! - d),
          x,
        );
      }
      const kept = alphasCumprod[t]!;
      return withShape(form.noise(values, Math.sqrt(kept), Math.sqrt(1 - kept)), x);
    };
    const x = await samplers[scheduler]({ steps })(model, golden.tensor("in.x"), {
      onStep: (step) => void states.push(step),
    });
    expectGolden(golden, "out.x", x);
    expect(times).toEqual([...(golden.tensor("out.timesteps").data as Int32Array)]);
    // UniPC reports corrected states, the reference predicted ones.
    if (scheduler !== "UniPC") {
      expectGolden(
        golden,
        "out.x_steps",
        states.flatMap((step) => [...step.x.toFloat32()]),
      );
    }
    expect(Tensor.float32(states.at(-1)!.x.toFloat32()).data).toEqual(x.data);
  });
});
