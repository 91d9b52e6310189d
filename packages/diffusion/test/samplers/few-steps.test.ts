/** One or two steps: a coarse answer, never the noise handed back. */
import { ConfigError } from "@dcae/core";
import { createRandom, Tensor } from "@dcae/core/graph";
import { describe, expect, it } from "vitest";
import { parseOfficialDenoiser } from "../../src/denoisers/official-config.js";
import { chooseSampler, type SamplerName } from "../../src/pipeline/sampler-choice.js";
import { ddim, ddpm } from "../../src/samplers/ddpm.js";
import { type Model, noiseFrom } from "../../src/samplers/sampler.js";
import { gaussianSchedule } from "../../src/schedules/gaussian-schedule.js";
import { noiseSchedule } from "../../src/schedules/noise-schedule.js";
import { tinyDescription } from "../support/tiny-models.js";

/** Data is N(3, 0.1^2) in every element, so that a sample is near 3 and noise is not. */
const [MU, S] = [3, 0.1];
const noise = Tensor.float32(createRandom(1).normal(new Float32Array(4 * 64)), [4, 4, 4, 4]);

/** The noise in a state, and the data, exactly. */
function exact(x: Float32Array, alpha: number, sigma: number) {
  const variance = alpha ** 2 * S ** 2 + sigma ** 2;
  const noisePart = x.map((value) => (sigma * (value - alpha * MU)) / variance);
  return { noise: noisePart, data: x.map((value) => MU + (alpha * S ** 2 * (value - alpha * MU)) / variance) };
}

const vp = noiseSchedule("vp_dpmsolver");
const gaussian = gaussianSchedule();
const twice = (values: Float32Array, x: Tensor) => {
  const [batch, channels, ...plane] = x.shape as [number, number, number, number];
  const out = new Float32Array(2 * values.length);
  const size = values.length / batch;
  for (let b = 0; b < batch; b++) out.set(values.subarray(b * size, (b + 1) * size), 2 * b * size);
  return Tensor.float32(out, [batch, 2 * channels, ...plane]);
};
const same = (values: Float32Array, x: Tensor) => Tensor.float32(values, x.shape);

const models: Readonly<Record<string, (variance: boolean) => Model>> = {
  noise: () => async (x, t) => same(exact(x.toFloat32(), vp.alpha(t / 1000), vp.sigma(t / 1000)).noise, x),
  gaussian: (variance) => async (x, t) => {
    const [alpha, sigma] = [gaussian.sqrtAlphasCumprod[t]!, gaussian.sqrtOneMinusAlphasCumprod[t]!];
    return (variance ? twice : same)(exact(x.toFloat32(), alpha, sigma).noise, x);
  },
  // From noise at 0 to data at 1.
  flow: () => async (x, t) => {
    const { noise: e, data } = exact(x.toFloat32(), t, 1 - t);
    return same(
      data.map((value, i) => value - e[i]!),
      x,
    );
  },
  // From data at 0 to noise at 1.
  sana: () => async (x, t) => {
    const { noise: e, data } = exact(x.toFloat32(), 1 - t / 1000, t / 1000);
    return same(
      data.map((value, i) => e[i]! - value),
      x,
    );
  },
  uni: () => async (x, t) => {
    const { noise: e, data } = exact(x.toFloat32(), 1 - t, t);
    return same(
      data.map((value, i) => e[i]! - value),
      x,
    );
  },
};

const fitting: Readonly<Record<string, readonly SamplerName[]>> = {
  noise: ["dpm-solver++"],
  gaussian: ["ddpm", "ddim", "unipc", "dpm-solver-singlestep"],
  flow: ["euler", "heun", "midpoint", "rk4", "sde"],
  sana: ["sana"],
  uni: ["uni", "uni-sde"],
};
const recipes = {
  noise: tinyDescription("uvit"),
  gaussian: tinyDescription("dit"),
  flow: tinyDescription("uvit", { train_scheduler: "SiTSampler" }),
  sana: tinyDescription("sana_cls"),
  uni: tinyDescription("dit", { train_scheduler: "UniTrainScheduler", learn_sigma: false }),
};
/** The fewest steps that each takes. */
const FEWEST: Readonly<Partial<Record<SamplerName, number>>> = { "dpm-solver++": 3, ddpm: 2, ddim: 2 };

const distance = (x: Tensor) => Math.sqrt(x.toFloat32().reduce((sum, value) => sum + (value - MU) ** 2, 0) / x.size);

const cases = Object.entries(fitting).flatMap(([kind, names]) => names.map((name) => [name, kind] as const));
describe.each(cases)("%s", (name, kind) => {
  const { recipe } = recipes[kind as keyof typeof recipes];
  const fewest = FEWEST[name] ?? 1;

  it.each([fewest, fewest + 1])("comes near the data in %d steps", async (steps) => {
    const { sample, variance } = chooseSampler(recipe, name, steps);
    const x = await sample(models[kind]!(variance), noise, { drawNoise: noiseFrom(createRandom(2)) });
    expect(distance(noise)).toBeGreaterThan(3);
    expect(distance(x)).toBeLessThan(1.5);
  });

  it("refuses fewer", () => {
    expect(() => chooseSampler(recipe, name, fewest - 1)).toThrow(
      new RegExp(`sampler ${name.replaceAll("+", "\\+")} takes ${fewest} (to 1000|or more) steps, got ${fewest - 1}`),
    );
  });
});

describe("Gaussian diffusion of steps that begin where there is data already", () => {
  it.each([[1], ["1"]])("%j: one step, of the least noise, would hand the noise back", (steps) => {
    for (const sampler of [ddpm, ddim]) {
      expect(() => sampler({ steps })).toThrow(ConfigError);
      expect(() => sampler({ steps })).toThrow(/begins at step 0 of 1000, .* would give the noise back/);
    }
  });

  it.each([[2], ["10,15,20"], ["ddim50"], [1000]])("%j: fine", (steps) => {
    expect(() => ddpm({ steps })).not.toThrow();
  });
});

describe("the published sampler", () => {
  it("says why one step is none, with the fewest that it takes", () => {
    const { recipe } = parseOfficialDenoiser("dit", { input_size: 4 });
    expect(() => chooseSampler(recipe, undefined, 1)).toThrow(/sampler ddpm takes 2 to 1000 steps, got 1/);
  });
});
