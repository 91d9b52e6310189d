import { expectClose, SCHEDULE_TOLERANCE } from "@dcae/test-support/compare";
import { expectGolden } from "@dcae/test-support/golden";
import { describe, expect, it } from "vitest";
import { INTERPOLANTS, interpolant, sanaSchedule } from "../../src/schedules/flow-schedule.js";
import {
  type BetaSchedule,
  gaussianBetas,
  gaussianSchedule,
  noisePredictionSchedule,
  respacedSteps,
} from "../../src/schedules/gaussian-schedule.js";
import { NOISE_SCHEDULES, type NoiseSchedule, noiseSchedule } from "../../src/schedules/noise-schedule.js";
import { type GoldenCase, goldenInfo, loadGolden } from "../support/golden.js";

/** Both the project's tolerance and the case's own. */
function expectBoth(golden: GoldenCase, name: string, actual: ArrayLike<number>): void {
  expectClose(actual, golden.tensor(name), SCHEDULE_TOLERANCE);
  expectGolden(golden, name, actual);
}

describe("Gaussian diffusion", () => {
  const { config: described } = goldenInfo("schedule_gaussian");
  const trainSteps = described.beta_n as number;

  it.each(described.respace_full as string[])('has the reference\'s tables (respacing "%s")', async (respacing) => {
    const golden = await loadGolden("schedule_gaussian");
    const key = respacing === "" ? "none" : respacing;
    const schedule = gaussianSchedule({ trainSteps, ...(respacing === "" ? {} : { respacing }) });
    const expected = {
      betas: schedule.betas,
      alphas_cumprod: schedule.alphasCumprod,
      alphas_cumprod_prev: schedule.alphasCumprodPrev,
      sqrt_alphas_cumprod: schedule.sqrtAlphasCumprod,
      sqrt_one_minus_alphas_cumprod: schedule.sqrtOneMinusAlphasCumprod,
      sqrt_recip_alphas_cumprod: schedule.sqrtRecipAlphasCumprod,
      sqrt_recipm1_alphas_cumprod: schedule.sqrtRecipm1AlphasCumprod,
      posterior_variance: schedule.posteriorVariance,
      posterior_log_variance_clipped: schedule.posteriorLogVariance,
      posterior_mean_coef1: schedule.posteriorMeanCoef1,
      posterior_mean_coef2: schedule.posteriorMeanCoef2,
    };
    for (const [name, values] of Object.entries(expected)) expectBoth(golden, `out.${key}.${name}`, values);
    expect([...schedule.timestepMap]).toEqual([...(golden.tensor(`out.${key}.timestep_map`).data as Int32Array)]);
  });

  it("keeps the reference's steps for every respacing", async () => {
    const golden = await loadGolden("schedule_gaussian");
    const specs = golden.config.respace_map as string[];
    for (const spec of specs) {
      expect([...respacedSteps(spec, trainSteps)], spec).toEqual([
        ...(golden.tensor(`out.map.${spec}`).data as Int32Array),
      ]);
    }
  });

  it("has the reference's betas", async () => {
    const golden = await loadGolden("schedule_gaussian");
    for (const name of described.beta_schedules as BetaSchedule[]) {
      expectBoth(golden, `out.beta.${name}`, gaussianBetas(name, trainSteps));
    }
  });

  it.each(["0", "abc", "2000", "ddim999", "10,"])("refuses the respacing %s", (spec) => {
    expect(() => respacedSteps(spec, 1000)).toThrow(/respacing/);
  });
});

describe("noise prediction", () => {
  it("has the reference's tables", async () => {
    const golden = await loadGolden("schedule_uvit");
    const { betas, cumAlphas, cumBetas } = noisePredictionSchedule();
    const strict: GoldenCase = { ...golden, tolerance: { atol: 1e-12, rtol: 1e-9, overrides: {} } };
    expectBoth(strict, "out.betas", betas);
    expectBoth(strict, "out.cum_alphas", cumAlphas);
    expectBoth(strict, "out.cum_betas", cumBetas);
    expectBoth(strict, "out.snr", cumAlphas.map((alpha, n) => alpha / cumBetas[n]!).subarray(1));
  });

  it("has the reference's continuous schedule", async () => {
    const golden = await loadGolden("schedule_uvit");
    const schedule = noiseSchedule("vp_dpmsolver");
    const at = (entry: (t: number) => number) => Float64Array.from(golden.tensor("in.t").toFloat32(), entry);
    expectGolden(golden, "out.marginal_log_mean_coeff", at(schedule.logAlpha));
    expectGolden(golden, "out.marginal_alpha", at(schedule.alpha));
    expectGolden(golden, "out.marginal_std", at(schedule.sigma));
    expectGolden(golden, "out.marginal_lambda", at(schedule.lambda));
    const inverse = Float64Array.from(golden.tensor("in.lambda").toFloat32(), schedule.time);
    expectGolden(golden, "out.inverse_lambda", inverse);
    expectClose(at(schedule.logAlpha), golden.tensor("out.marginal_log_mean_coeff"), SCHEDULE_TOLERANCE);
  });
});

describe("continuous schedules", () => {
  it.each(NOISE_SCHEDULES)("%s equals the reference", async (name) => {
    const golden = await loadGolden("uni_schedule");
    const schedule: NoiseSchedule = noiseSchedule(name);
    const times = golden.tensor("in.t").toFloat32();
    const entries = {
      marginal_log_mean_coeff: schedule.logAlpha,
      marginal_alpha: schedule.alpha,
      marginal_std: schedule.sigma,
      marginal_lambda: schedule.lambda,
      marginal_d_alpha: schedule.dAlpha,
      marginal_d_std: schedule.dSigma,
    };
    for (const [key, entry] of Object.entries(entries)) {
      expectGolden(golden, `out.${name}.${key}`, Float64Array.from(times, entry));
    }
    const lambdas = golden.tensor("in.lambda").toFloat32();
    expectGolden(golden, `out.${name}.inverse_lambda`, Float64Array.from(lambdas, schedule.time));
  });

  it.each(NOISE_SCHEDULES)("%s: the time of a lambda is its inverse", (name) => {
    const schedule = noiseSchedule(name);
    for (const t of [0.01, 0.2, 0.5, 0.9]) expect(schedule.time(schedule.lambda(t))).toBeCloseTo(t, 9);
  });
});

describe("interpolants", () => {
  it.each(INTERPOLANTS)("%s equals the reference", async (name) => {
    const golden = await loadGolden("transport_math");
    const path = interpolant(name);
    const at = (entry: (t: number) => number) => Float64Array.from(golden.tensor("in.t").toFloat32(), entry);
    expectBoth(golden, `out.${name}.alpha`, at(path.alpha));
    expectBoth(golden, `out.${name}.d_alpha`, at(path.dAlpha));
    expectBoth(golden, `out.${name}.sigma`, at(path.sigma));
    expectBoth(golden, `out.${name}.d_sigma`, at(path.dSigma));
    expectBoth(golden, `out.${name}.drift_var`, at(path.driftVariance));
    const x = golden.tensor("in.x").toFloat32();
    const size = x.length / golden.tensor("in.t").size;
    const slopes = at(path.dLogAlpha);
    expectBoth(
      golden,
      `out.${name}.drift_mean`,
      x.map((value, i) => -slopes[Math.floor(i / size)]! * value),
    );
  });
});

describe("SANA", () => {
  const shifts = goldenInfo("schedule_sana").config.shifts as number[];

  it.each(shifts)("has the reference's sigmas and model times (shift %d)", async (shift) => {
    const golden = await loadGolden("schedule_sana");
    const key = Number.isInteger(shift) ? shift.toFixed(1) : `${shift}`;
    const { sigmas, modelTimes } = sanaSchedule(shift);
    expectBoth(golden, `out.${key}.sigmas`, sigmas);
    expect([...modelTimes]).toEqual([...(golden.tensor(`out.${key}.model_t`).data as Int32Array)]);
  });
});
