import { Tensor } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { expectClose, MODEL_TOLERANCE } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { describe, expect, it } from "vitest";
import { buildDenoiseProgram } from "../../src/denoisers/denoise.js";
import { parseOfficialDenoiser } from "../../src/denoisers/official-config.js";
import { type ForwardPass, guidedModel, guideHalves } from "../../src/pipeline/sample-latents.js";
import { ddpm } from "../../src/samplers/ddpm.js";
import { dopri5 } from "../../src/samplers/dopri5.js";
import { dpmSolver } from "../../src/samplers/dpm-solver.js";
import { euler, heun, midpoint, rk4, sde } from "../../src/samplers/flow.js";
import type { Sampler, SamplerStep } from "../../src/samplers/sampler.js";
import { recordedNoise } from "../support/closed-form.js";
import { type GoldenCase, goldenNames, loadGolden } from "../support/golden.js";

const engine = useEngine();

/** A forward pass that loads one program per batch size. */
function forwardOf(golden: GoldenCase): ForwardPass {
  const { config } = parseOfficialDenoiser(golden.config.arch, golden.config.model);
  const programs = new Map<number, ReturnType<Engine["load"]>>();
  return async (x, t, labels) => {
    const batch = x.shape[0]!;
    const loaded = programs.get(batch) ?? engine.load(buildDenoiseProgram(config, batch), golden.weights);
    programs.set(batch, loaded);
    const { y } = await (await loaded).run({ x, t, ...(labels === undefined ? {} : { labels }) });
    return y!;
  };
}

const fixedStep = { euler, heun2: heun, midpoint, rk4 };

function samplerOf({ config }: GoldenCase): Sampler {
  const { eval_scheduler: evalScheduler, num_inference_steps: steps } = config.model;
  if (config.ode !== undefined) {
    const { method, num_steps: points } = config.ode;
    return fixedStep[method as keyof typeof fixedStep]({ points });
  }
  if (config.sde !== undefined) {
    return sde({
      points: config.sde.num_steps,
      method: config.sde.sampling_method,
      diffusion: config.sde.diffusion_form,
      norm: config.sde.diffusion_norm,
      lastStep: config.sde.last_step,
      lastStepSize: config.sde.last_step_size,
    });
  }
  switch (evalScheduler) {
    case "DPM_Solver":
      return dpmSolver({ steps });
    case "GaussianDiffusion":
      return ddpm({ steps: config.respace ?? steps });
    case "ODE_heun2":
      return heun({ points: steps });
    case "SDE":
      return sde({ points: steps });
    case "ODE_dopri5":
      return dopri5();
    default:
      throw new Error(`no sampler for ${evalScheduler}`);
  }
}

describe.each(goldenNames("sample"))("%s", (name) => {
  it("follows the reference's trajectory", async () => {
    const golden = await loadGolden(name);
    const { config } = parseOfficialDenoiser(golden.config.arch, golden.config.model);
    const scale = golden.config.cfg_scale as number;
    const labels = [...(golden.tensor("in.y").data as Int32Array)];
    const guided = guidedModel(forwardOf(golden), config, labels, { scale });
    const [times, states, steps]: [number[], Tensor[], SamplerStep[]] = [[], [], []];
    const x = await samplerOf(golden)(
      (state, t) => {
        // The reference's stochastic sampler asks twice at one place.
        if (golden.config.model.eval_scheduler !== "SDE" && golden.config.sde === undefined) {
          times.push(t);
          states.push(state);
        } else if (times.at(-1) !== t || states.at(-1) !== state) {
          const last = golden.tensor("out.nfe_t").toFloat32();
          times.push(t);
          states.push(state);
          if (last[times.length] === last[times.length - 1]) {
            times.push(t);
            states.push(state);
          }
        }
        return guided(state, t);
      },
      golden.tensor("in.noise"),
      {
        onStep: (step) => void steps.push(step),
        ...(golden.tensors.has("in.step_noise") ? { drawNoise: recordedNoise(golden) } : {}),
      },
    );
    expectGolden(golden, "out.x", x);
    expect(steps.length).toBeGreaterThan(0);
    expectGolden(golden, "out.nfe_t", Float32Array.from(times));
    const keep = golden.config.keep_calls as "all" | number[];
    const kept = keep === "all" ? states : keep.map((call) => states[call]!);
    if (kept.length > 0) {
      const joined = kept.flatMap((state) => [...state.toFloat32()]);
      expectGolden(golden, "out.nfe_x", joined);
    }
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
});

describe.each(goldenNames("cfg_forward"))("%s", (name) => {
  it("guides as the reference for every scale", async () => {
    const golden = await loadGolden(name);
    const { config, recipe } = parseOfficialDenoiser(golden.config.arch, golden.config.model);
    const forward = forwardOf(golden);
    const [x, t] = [golden.tensor("in.x"), golden.tensor("in.t")];
    const all = [...(golden.tensor("in.y").data as Int32Array)];
    const half = x.shape[0]! / 2;
    const first = x.slice([{ stop: half }]);
    const scales = golden.config.cfg_scales as number[];
    for (const [i, scale] of scales.entries()) {
      const expected = golden.tensor(`out.y.${i}`);
      const model = guidedModel(forward, config, all.slice(0, half), {
        scale,
        channels: recipe.cfgChannels,
        interval: recipe.guidanceInterval,
      });
      const times = [...t.toFloat32()];
      expect(new Set(times.slice(0, half)).size).toBeGreaterThan(0);
      const rows = await Promise.all(
        times.slice(0, half).map(async (time, b) => (await model(first, time)).row(b).toFloat32()),
      );
      const kept = expected.slice([{ stop: half }]);
      expectClose(
        Tensor.float32(
          rows.flatMap((row) => [...row]),
          kept.shape,
        ),
        kept,
        MODEL_TOLERANCE,
      );
    }
  });
});

describe("guideHalves", () => {
  it("writes the guided channels to both halves and leaves the others", () => {
    const output = Tensor.float32([1, 2, 3, 4, 11, 12, 13, 14], [2, 2, 1, 2]);
    const guided = guideHalves(output, 2, 1);
    expect([...guided.data]).toEqual([-9, -8, 3, 4, -9, -8, 13, 14]);
    expect([...output.data]).toEqual([1, 2, 3, 4, 11, 12, 13, 14]);
  });
});
