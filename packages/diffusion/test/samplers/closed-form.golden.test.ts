import { sizeOf, Tensor } from "@dcae/core/graph";
import { expectClose } from "@dcae/test-support/compare";
import { expectGolden } from "@dcae/test-support/golden";
import { describe, expect, it } from "vitest";
import { ddim, ddpm, gaussianPrediction } from "../../src/samplers/ddpm.js";
import { dopri5 } from "../../src/samplers/dopri5.js";
import { dpmSolver } from "../../src/samplers/dpm-solver.js";
import {
  DIFFUSION_FORMS,
  diffusionCoefficient,
  euler,
  flow,
  heun,
  midpoint,
  rk4,
  sde,
} from "../../src/samplers/flow.js";
import type { Model, Sampler, SamplerStep } from "../../src/samplers/sampler.js";
import { INTERPOLANTS, type InterpolantName, interpolant } from "../../src/schedules/flow-schedule.js";
import { type BetaSchedule, gaussianSchedule } from "../../src/schedules/gaussian-schedule.js";
import { noiseSchedule } from "../../src/schedules/noise-schedule.js";
import { closedForm, recordedNoise, withShape } from "../support/closed-form.js";
import { type GoldenCase, goldenNames, loadGolden } from "../support/golden.js";

/** The model, and the times at which it was asked (repeats of one time count once). */
function watched(model: Model): { model: Model; times: number[] } {
  const times: number[] = [];
  return {
    times,
    model: (x, t) => {
      if (times.at(-1) !== t) times.push(t);
      return model(x, t);
    },
  };
}

/** The recorded times, where a model asked twice at one place counts once. */
function recordedTimes(golden: GoldenCase): number[] {
  const times = [...golden.tensor("out.nfe_t").toFloat32()];
  return times.filter((t, i) => i === 0 || t !== times[i - 1]);
}

function expectTimes(golden: GoldenCase, actual: readonly number[]): void {
  const expected = recordedTimes(golden);
  expectGolden({ ...golden, tensor: () => Tensor.float32(expected) }, "out.nfe_t", Float32Array.from(actual));
}

describe("DPM-Solver", () => {
  it.each(goldenNames("dpm_analytic"))("%s", async (name) => {
    const golden = await loadGolden(name);
    const { sample, schedule: kind, predict_x0: predictData = true } = golden.config;
    const schedule = noiseSchedule(kind === "linear" ? "vp_linear_continuous" : "vp_dpmsolver");
    const form = closedForm(golden);
    const { model, times } = watched(async (x, t) =>
      withShape(form.noise(x.toFloat32(), schedule.alpha(t), schedule.sigma(t)), x),
    );
    const sampler = dpmSolver({
      schedule,
      predict: predictData ? "data" : "noise",
      timeScale: 1,
      ...(sample.steps === undefined ? {} : { steps: sample.steps }),
      ...(sample.order === undefined ? {} : { order: sample.order }),
      ...(sample.method === undefined ? {} : { method: sample.method }),
      ...(sample.skip_type === undefined ? {} : { spacing: sample.skip_type }),
      ...(sample.solver_type === undefined ? {} : { solverType: sample.solver_type }),
      ...(sample.T === undefined ? {} : { startTime: sample.T }),
      ...(sample.eps === undefined ? {} : { endTime: sample.eps }),
      ...(sample.atol === undefined ? {} : { absoluteTolerance: sample.atol }),
      ...(sample.rtol === undefined ? {} : { relativeTolerance: sample.rtol }),
      denoise: sample.denoise ?? false,
    });
    expectGolden(golden, "out.x", await sampler(model, golden.tensor("in.x")));
    expectTimes(golden, times);
  });
});

describe("Gaussian diffusion", () => {
  it.each(goldenNames("gaussian_analytic"))("%s", async (name) => {
    const golden = await loadGolden(name);
    const { respace, method, eta = 0, clip = false, diffusion = {} } = golden.config;
    const betaSchedule: BetaSchedule = diffusion.noise_schedule ?? "linear";
    const learned = diffusion.learn_sigma ?? true;
    const predict = diffusion.predict_xstart ? ("data" as const) : ("noise" as const);
    const full = gaussianSchedule({ betaSchedule });
    const form = closedForm(golden);
    const v = golden.tensor("in.v").toFloat32();
    const { model, times } = watched(async (x, t) => {
      const [alpha, sigma] = [full.sqrtAlphasCumprod[t]!, full.sqrtOneMinusAlphasCumprod[t]!];
      const values = form[predict](x.toFloat32(), alpha, sigma);
      if (!learned) return withShape(values, x);
      const [batch, channels] = x.shape as [number, number];
      const plane = sizeOf(x.shape.slice(2));
      const out = new Float32Array(2 * values.length);
      for (let b = 0; b < batch; b++) {
        const sample = values.subarray(b * channels * plane, (b + 1) * channels * plane);
        out.set(sample, 2 * b * channels * plane);
        const start = (2 * b + 1) * channels * plane;
        for (let c = 0; c < channels; c++) out.fill(v[c]!, start + c * plane, start + (c + 1) * plane);
      }
      return Tensor.float32(out, [batch, 2 * channels, ...x.shape.slice(2)]);
    });
    const options = {
      steps: respace as string,
      betaSchedule,
      predict,
      clip,
      variance: learned ? "learned" : diffusion.sigma_small ? "fixed-small" : "fixed-large",
    } as const;
    const sampler = method === "ddim" ? ddim({ ...options, eta }) : ddpm(options);
    const x = await sampler(model, golden.tensor("in.x"), { drawNoise: recordedNoise(golden) });
    expectGolden(golden, "out.x", x);
    expectTimes(golden, times);
  });

  it.each(goldenNames("gaussian_math"))("%s: the previous step for a given output", async (name) => {
    const golden = await loadGolden(name);
    const { diffusion = {}, respace } = golden.config;
    const betaSchedule: BetaSchedule = diffusion.noise_schedule ?? "linear";
    const schedule = gaussianSchedule({ betaSchedule, ...(respace === undefined ? {} : { respacing: respace }) });
    const predict = diffusion.predict_xstart ? ("data" as const) : ("noise" as const);
    const fixed = diffusion.sigma_small ? ("fixed-small" as const) : ("fixed-large" as const);
    const variance = diffusion.learn_sigma === false ? fixed : ("learned" as const);
    const steps = golden.tensor("in.t").data as Int32Array;
    for (const clip of [false, true]) {
      const parts = [...steps].map((step, b) => {
        const [x, output] = [golden.tensor("out.xt").row(b), golden.tensor("in.model_output").row(b)];
        const rule = { schedule, predict, variance, clip };
        return gaussianPrediction(rule, step, x.toFloat32(), output.toFloat32(), x.size);
      });
      const join = (key: "mean" | "logVariance" | "start") => parts.flatMap((part) => [...part[key]]);
      const suffix = `clip${clip ? 1 : 0}`;
      expectGolden(golden, `out.p_mean.${suffix}`, join("mean"));
      expectGolden(golden, `out.p_log_variance.${suffix}`, join("logVariance"));
      expectGolden(golden, `out.p_variance.${suffix}`, join("logVariance").map(Math.exp));
      expectGolden(golden, `out.p_pred_xstart.${suffix}`, join("start"));
    }
  });
});

describe("flows", () => {
  const fixedStep = { euler, heun2: heun, midpoint, rk4 };

  it.each(goldenNames("transport_analytic"))("%s", async (name) => {
    const golden = await loadGolden(name);
    const { transport, ode, sde: stochastic } = golden.config;
    const [path, prediction, , , epsilon] = transport as [InterpolantName, "velocity" | "noise" | "score", ...number[]];
    const curve = interpolant(path);
    const form = closedForm(golden);
    const { model, times } = watched(async (x, t) => {
      const values = x.toFloat32();
      const [alpha, sigma] = [curve.alpha(t), curve.sigma(t)];
      const noise = form.noise(values, alpha, sigma);
      if (prediction === "noise") return withShape(noise, x);
      if (prediction === "score") return withShape(scoreOf(golden, values, alpha, sigma), x);
      const data = form.data(values, alpha, sigma);
      return withShape(
        data.map((d, i) => curve.dAlpha(t) * d + curve.dSigma(t) * noise[i]!),
        x,
      );
    });
    const options = { path, prediction, ...(epsilon === undefined ? {} : { epsilon }) };
    const steps: SamplerStep[] = [];
    let sampler: Sampler;
    if (stochastic !== undefined) {
      sampler = sde({
        ...options,
        points: stochastic.num_steps,
        method: stochastic.sampling_method,
        diffusion: stochastic.diffusion_form,
        lastStep: stochastic.last_step,
        ...(stochastic.diffusion_norm === undefined ? {} : { norm: stochastic.diffusion_norm }),
        ...(stochastic.last_step_size === undefined ? {} : { lastStepSize: stochastic.last_step_size }),
      });
    } else if (ode.sampling_method === "dopri5") {
      const [absoluteTolerance, relativeTolerance] = [ode.atol ?? 1e-6, ode.rtol ?? 1e-3];
      sampler = dopri5({ ...options, absoluteTolerance, relativeTolerance });
    } else {
      sampler = fixedStep[ode.sampling_method as keyof typeof fixedStep]({ ...options, points: ode.num_steps });
    }
    const run = {
      onStep: (step: SamplerStep) => void steps.push(step),
      ...(stochastic === undefined ? {} : { drawNoise: recordedNoise(golden) }),
    };
    const x = await sampler(model, golden.tensor("in.x"), run);
    expectGolden(golden, "out.x", x);
    expectTimes(golden, times);
    expect(steps.at(-1)?.x.data).toEqual(x.data);
    if (golden.tensors.has("out.ode_steps")) {
      const attempts = steps.flatMap(({ attempt }) => [
        attempt!.start,
        attempt!.size,
        attempt!.error,
        Number(attempt!.accepted),
      ]);
      expectGolden(golden, "out.ode_steps", attempts);
    }
  });

  it.each(INTERPOLANTS)("%s: velocity, score and noise from each other equal the reference", async (path) => {
    const golden = await loadGolden("transport_math");
    const curve = interpolant(path);
    const times = golden.tensor("in.t").toFloat32();
    const perSample = (compute: (x: Float32Array, t: number, output: Float32Array) => Float32Array) =>
      [...times].flatMap((t, b) => {
        const [x, output] = [golden.tensor("in.x").row(b), golden.tensor("in.model_output").row(b)];
        return [...compute(x.toFloat32(), t, output.toFloat32())];
      });
    const [fromVelocity, fromScore] = [flow({ path }), flow({ path, prediction: "score" })];
    expectGolden(golden, `out.${path}.score_from_velocity`, perSample(fromVelocity.score));
    expectGolden(golden, `out.${path}.velocity_from_score`, perSample(fromScore.velocity));
    // The case doesn't name its norm, but the constant form is that.
    const [norm] = golden.tensor(`out.${path}.diffusion.constant`).toFloat32() as Float32Array & [number];
    for (const form of DIFFUSION_FORMS) {
      const key = form === "increasing-decreasing" ? "inccreasing-decreasing" : form;
      const w = diffusionCoefficient(form, norm, path);
      expectGolden(golden, `out.${path}.diffusion.${key}`, Float64Array.from(times, w));
    }
    // The target's velocity, alpha' x1 + sigma' x0.
    const velocity = [...times].flatMap((t, b) => {
      const [x0, x1] = [golden.tensor("in.x0").row(b).toFloat32(), golden.tensor("in.x1").row(b).toFloat32()];
      return [...x1].map((value, i) => curve.dAlpha(t) * value + curve.dSigma(t) * x0[i]!);
    });
    expectClose(velocity, golden.tensor(`out.${path}.ut`).toFloat32(), 1e-5);
  });

  it("refuse a diffusion that is infinite where they start", () => {
    expect(() => sde({ diffusion: "SBDM" })).toThrow(/infinite/);
  });
});

function scoreOf(golden: GoldenCase, x: Float32Array, alpha: number, sigma: number): Float32Array {
  return closedForm(golden)
    .noise(x, alpha, sigma)
    .map((noise) => -noise / sigma);
}
