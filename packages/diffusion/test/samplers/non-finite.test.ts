/** What isn't finite ends a sampler with its step and time, and what can't converge ends it at all. */
import { DataError } from "@dcae/core";
import { createRandom, Tensor } from "@dcae/core/graph";
import { describe, expect, it } from "vitest";
import { ddim, ddpm } from "../../src/samplers/ddpm.js";
import { dopri5 } from "../../src/samplers/dopri5.js";
import { dpmSolver } from "../../src/samplers/dpm-solver.js";
import { euler, heun, midpoint, rk4, sde } from "../../src/samplers/flow.js";
import { type Model, noiseFrom, type Sampler } from "../../src/samplers/sampler.js";
import { dpmSolverSinglestep, sanaSampler, uniPc } from "../../src/samplers/sigma-samplers.js";
import { uniSampler, uniSde } from "../../src/samplers/uni-sampler.js";

const noise = Tensor.float32(createRandom(1).normal(new Float32Array(2 * 2 * 2 * 2)), [2, 2, 2, 2]);
const run = { drawNoise: noiseFrom(createRandom(2)) };

const learned = { variance: "learned" as const };
const samplers: Readonly<Record<string, { readonly sample: Sampler; readonly variance?: boolean }>> = {
  "dpm-solver++": { sample: dpmSolver({ steps: 6 }) },
  "dpm-solver of order 2": { sample: dpmSolver({ steps: 6, order: 2, method: "singlestep", denoise: true }) },
  "dpm-adaptive of order 2": { sample: dpmSolver({ method: "adaptive", order: 2 }) },
  "dpm-adaptive of order 3": { sample: dpmSolver({ method: "adaptive", predict: "noise" }) },
  ddpm: { sample: ddpm({ steps: 5, ...learned }), variance: true },
  ddim: { sample: ddim({ steps: 5, ...learned }), variance: true },
  unipc: { sample: uniPc({ steps: 5 }) },
  "dpm-solver-singlestep": { sample: dpmSolverSinglestep({ steps: 5 }) },
  dopri5: { sample: dopri5() },
  euler: { sample: euler({ points: 6 }) },
  heun: { sample: heun({ points: 6 }) },
  midpoint: { sample: midpoint({ points: 6 }) },
  rk4: { sample: rk4({ points: 6 }) },
  sde: { sample: sde({ points: 6 }) },
  sana: { sample: sanaSampler({ steps: 5 }) },
  uni: { sample: uniSampler({ steps: 5 }) },
  "uni-sde": { sample: uniSde({ steps: 5 }) },
};

/** Asked more often than any sampler of these tests needs. */
const LIMIT = 200_000;

/** A model that gives `value(call)` everywhere in its answer number `call`, counted from 1, and doesn't let itself be asked for ever. */
function constant(
  value: (call: number) => number,
  doubled = false,
): { readonly model: Model; readonly times: number[] } {
  const times: number[] = [];
  const model: Model = async (x, t) => {
    times.push(t);
    if (times.length > LIMIT) throw new Error("asked for ever");
    const [batch, channels, ...plane] = x.shape as [number, number, number, number];
    return Tensor.full([batch, doubled ? 2 * channels : channels, ...plane], value(times.length));
  };
  return { model, times };
}

describe.each(Object.entries(samplers))("%s", (_, { sample, variance = false }) => {
  it.each([
    ["NaN from the first answer on", Number.NaN, 1],
    ["infinite from the first answer on", Number.POSITIVE_INFINITY, 1],
    ["NaN from the third answer on", Number.NaN, 3],
  ])("%s: an error that names step and time", async (_name, value, from) => {
    const { model, times } = constant((call) => (call < from ? 0.1 : value), variance);
    const failure = sample(model, noise, run);
    await expect(failure).rejects.toThrow(DataError);
    await expect(failure).rejects.toThrow(/^sampler: the model gave (NaN|Infinity) at element 0, in step \d+ at time /);
    const error = (await failure.catch((reason: unknown) => reason)) as Error;
    expect(times).toHaveLength(from);
    expect(error.message).toContain(`at time ${Number(times.at(-1)?.toPrecision(6))}`);
  });
});

describe("a state that overflows though the model's answers are finite", () => {
  it.each(["dpm-solver++", "dpm-adaptive of order 3", "ddpm", "ddim", "unipc", "dpm-solver-singlestep"])(
    "%s: an error too",
    async (name) => {
      const { sample, variance = false } = samplers[name]!;
      const { model } = constant(() => 3.4e38, variance);
      await expect(sample(model, noise, run)).rejects.toThrow(
        /^sampler: (the state became|the error of step \d+ at time \S+ is NaN)/,
      );
    },
  );
});

describe("solvers that choose their steps", () => {
  /** Answers that no step size makes agree: as good as drawn anew at every call. */
  const rough = () => {
    const random = createRandom(3);
    const draw = new Float32Array(1);
    return constant(() => 1e4 * (random.normal(draw)[0] as number));
  };

  it.each([
    ["dopri5", dopri5({ maxAttempts: 1000 })],
    ["dpm-adaptive of order 2", dpmSolver({ method: "adaptive", order: 2, maxAttempts: 1000 })],
    ["dpm-adaptive of order 3", dpmSolver({ method: "adaptive", order: 3, maxAttempts: 1000 })],
  ])("%s gives up where no step is small enough", async (_name, sample) => {
    await expect(sample(rough().model, noise, run)).rejects.toThrow(
      /^sampler: (no step is small enough for the tolerances at time .*, after \d+|has not reached time .* after 1000) attempts/,
    );
  });

  it.each([
    ["dopri5", dopri5({ maxAttempts: 4, absoluteTolerance: 1e-9, relativeTolerance: 1e-9 })],
    [
      "dpm-adaptive",
      dpmSolver({ method: "adaptive", maxAttempts: 4, absoluteTolerance: 1e-9, relativeTolerance: 1e-9 }),
    ],
  ])("%s takes no more attempts than it may", async (_name, sample) => {
    const model: Model = async (x, t) =>
      Tensor.float32(
        x.toFloat32().map((value) => Math.sin(9 * value + t)),
        x.shape,
      );
    await expect(sample(model, noise, run)).rejects.toThrow(/has not reached .* after 4 attempts/);
  });

  it.each([0, -1, Number.NaN, 1.5])("refuse %d attempts and tolerances that aren't positive", (wrong) => {
    expect(() => dopri5({ maxAttempts: wrong })).toThrow(/maxAttempts/);
    expect(() => dpmSolver({ method: "adaptive", maxAttempts: wrong })).toThrow(/maxAttempts/);
    if (wrong > 0) return;
    expect(() => dopri5({ absoluteTolerance: wrong })).toThrow(/absoluteTolerance/);
    expect(() => dpmSolver({ method: "adaptive", relativeTolerance: wrong })).toThrow(/relativeTolerance/);
  });
});
