import { Tensor, type Value } from "@dcae/core/graph";
import { expectClose, MODEL_TOLERANCE } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { runGraph } from "@dcae/test-support/run-graph";
import { describe, expect, it } from "vitest";
import { parseOfficialDenoiser } from "../../src/denoisers/official-config.js";
import { diffusionInputs, diffusionLoss, objectiveOf } from "../../src/objectives/diffusion-loss.js";
import { type GaussianDiffusionOptions, gaussianDiffusion } from "../../src/objectives/gaussian-diffusion.js";
import type { Objective } from "../../src/objectives/objective.js";
import {
  flowMatching,
  logitNormalIndex,
  type UniObjectiveOptions,
  uniObjective,
} from "../../src/objectives/regression.js";
import { INTERPOLANTS } from "../../src/schedules/flow-schedule.js";
import { gaussianSchedule } from "../../src/schedules/gaussian-schedule.js";
import { type GoldenCase, goldenInfo, goldenNames, loadGolden } from "../support/golden.js";

const engine = useEngine();

/** The times of a case in the unit of its objective. */
function timesOf(golden: GoldenCase): Float64Array {
  const { tensors } = golden;
  if (tensors.has("in.normal")) {
    return Float64Array.from(golden.tensor("in.normal").toFloat32(), (normal) => logitNormalIndex(normal, 1000));
  }
  return Float64Array.from(golden.tensor(tensors.has("in.n") ? "in.n" : "in.t").toFloat32());
}

const asTensors = (objective: Objective, times: Float64Array) =>
  Object.fromEntries(
    Object.entries(objective.coefficients(times)).map(([name, values]) => [name, Tensor.float32(values)]),
  );

describe.each(goldenNames("loss"))("%s", (name) => {
  it("gives the reference's noisy latents, model times, prediction, terms and loss", async () => {
    const golden = await loadGolden(name);
    const { config, recipe } = parseOfficialDenoiser(golden.config.arch, golden.config.model);
    const objective = objectiveOf(recipe);
    const tensors: Record<string, Tensor> = {
      latents: golden.tensor("in.x0"),
      noise: golden.tensor("in.noise"),
      labels: golden.tensor("in.y"),
      ...asTensors(objective, timesOf(golden)),
    };
    expect(Object.keys(diffusionInputs(config, objective, golden.tensor("in.x0").shape[0]!)).sort()).toEqual(
      Object.keys(tensors).sort(),
    );
    const outputs = await runGraph(
      engine,
      tensors,
      (scope, values: Readonly<Record<string, Value>>) => {
        const { loss, terms, noisy, prediction } = diffusionLoss(scope, config, objective, values);
        return { loss, ...terms, xt: noisy, pred: prediction };
      },
      golden.weights,
    );
    expectClose(tensors.time!, golden.tensor("out.model_t"), 1e-7);
    expectClose(outputs.xt!, golden.tensor("out.xt"), 1e-6);
    expectClose(outputs.pred!, golden.tensor("out.pred"), MODEL_TOLERANCE);
    expectClose(outputs.loss!.reshape([1]), golden.tensor("out.loss"), MODEL_TOLERANCE);
    for (const term of ["mse", "vb"]) {
      if (golden.tensors.has(`out.term.${term}`)) expectGolden(golden, `out.term.${term}`, outputs[term]!);
    }
  });
});

describe("Gaussian diffusion", () => {
  function optionsOf({ config }: GoldenCase): GaussianDiffusionOptions {
    const { diffusion = {}, respace } = config;
    const fixed = diffusion.sigma_small === true ? "fixed-small" : "fixed-large";
    return {
      schedule: gaussianSchedule({
        betaSchedule: diffusion.noise_schedule ?? "linear",
        ...(respace === undefined ? {} : { respacing: respace }),
      }),
      predict: diffusion.predict_xstart === true ? "data" : "noise",
      variance: diffusion.learn_sigma === false ? fixed : "learned",
      loss:
        diffusion.use_kl === true ? "rescaled-kl" : diffusion.rescale_learned_sigmas === true ? "rescaled-mse" : "mse",
    };
  }

  it.each(goldenNames("gaussian_math"))("%s: loss terms for a given output", async (name) => {
    const golden = await loadGolden(name);
    const objective = gaussianDiffusion(optionsOf(golden));
    const tensors = {
      latents: golden.tensor("in.x0"),
      noise: golden.tensor("in.noise"),
      output: golden.tensor("in.model_output"),
      ...asTensors(objective, timesOf(golden)),
    };
    const outputs = await runGraph(engine, tensors, (_, values: Readonly<Record<string, Value>>) => {
      const { latents, noise, output, ...perSample } = values;
      const result = objective.loss(() => output!, latents!, noise!, perSample);
      return { ...result.terms, total: result.loss, xt: result.noisy };
    });
    expectGolden(golden, "out.xt", outputs.xt!);
    expectClose(objective.coefficients(timesOf(golden)).time!, golden.tensor("out.model_t"), 0);
    for (const term of ["mse", "vb"]) {
      const key = `out.term.${term}`;
      if (golden.tensors.has(key)) expectGolden(golden, key, outputs[term]!);
    }
    const losses = golden.tensor("out.term.loss").toFloat32();
    expect(outputs.total!.toFloat32()[0]! / (losses.reduce((sum, loss) => sum + loss, 0) / losses.length)).toBeCloseTo(
      1,
      4,
    );
  });
});

describe("flow matching", () => {
  const cases = INTERPOLANTS.flatMap((path) => [
    { path, prediction: "velocity" as const },
    ...(["noise", "score"] as const).flatMap((prediction) =>
      (["none", "velocity", "likelihood"] as const).map((weight) => ({ path, prediction, weight })),
    ),
  ]);

  it.each(cases)("$path $prediction $weight: loss and path for a given output", async (options) => {
    const golden = await loadGolden("transport_math");
    const objective = flowMatching(options);
    const tensors = {
      latents: golden.tensor("in.x1"),
      noise: golden.tensor("in.x0"),
      output: golden.tensor("in.model_output"),
      ...asTensors(objective, timesOf(golden)),
    };
    const { mse, xt } = await runGraph(engine, tensors, (_, values: Readonly<Record<string, Value>>) => {
      const { latents, noise, output, ...perSample } = values;
      const result = objective.loss(() => output!, latents!, noise!, perSample);
      return { mse: result.terms.mse!, xt: result.noisy };
    });
    const { path, prediction } = options;
    const weight = "weight" in options ? options.weight : "none";
    expectGolden(golden, `out.${path}.xt`, xt!);
    expectGolden(golden, `out.${path}.loss.${prediction}.${weight}`, mse!);
  });

  it("refuses weights that would have no effect", () => {
    expect(() => flowMatching({ weight: "likelihood" })).toThrow(/no effect/);
  });
});

describe("the configurable objective", () => {
  const keys = Object.keys(goldenInfo("uni_train").tensors).map((key) => key.split("."));
  const targets = keys.filter((key) => key.at(-1) === "target");

  it.each([...new Set(targets.map(([, schedule]) => schedule))])(
    "%s: noisy latents, model time and target for every input and prediction",
    async (schedule) => {
      const golden = await loadGolden("uni_train");
      const times = timesOf(golden);
      const [x, noise] = [golden.tensor("in.x").toFloat32(), golden.tensor("in.noise").toFloat32()];
      const size = x.length / times.length;
      for (const [, named, prediction, timeInput, ...rest] of targets) {
        if (named !== schedule) continue;
        const reverseTime = rest[0] === "rev";
        const suffix = `${timeInput}${reverseTime ? ".rev" : ""}`;
        const objective = uniObjective({ schedule, timeInput, prediction, reverseTime } as UniObjectiveOptions);
        const numbers = objective.coefficients(times);
        const combine = (signal: Float32Array, scale: Float32Array) =>
          x.map((value, i) => {
            const sample = Math.floor(i / size);
            return signal[sample]! * value + scale[sample]! * noise[i]!;
          });
        expectGolden(golden, `out.${schedule}.${suffix}.xt`, combine(numbers.signal!, numbers.noiseScale!));
        expectGolden(golden, `out.${schedule}.${suffix}.t`, numbers.time!);
        const target = combine(numbers.targetSignal!, numbers.targetNoise!);
        expectGolden(golden, `out.${schedule}.${prediction}.${suffix}.target`, target);
      }
    },
  );
});
