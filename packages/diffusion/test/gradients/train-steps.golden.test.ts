import { Tensor } from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { expectClose } from "@dcae/test-support/compare";
import { expectGolden } from "@dcae/test-support/golden";
import { completeWeights, createTrainingState, gradientStep, stepProgram } from "@dcae/test-support/gradients";
import { describe, expect, it } from "vitest";
import { parseOfficialDenoiser } from "../../src/denoisers/official-config.js";
import { objectiveOf, trainingLoss } from "../../src/objectives/diffusion-loss.js";
import { type GoldenCase, goldenNames, loadGolden } from "../support/golden.js";

/** The key part of a bias has a true gradient of zero, so Adam turns rounding noise into steps: only the rest counts. */
function withoutKeyBias(name: string, values: Float32Array): Float32Array {
  if (!/attn\.qkv\.bias$/.test(name)) return values;
  const third = values.length / 3;
  return values.map((value, i) => (i >= third && i < 2 * third ? 0 : value));
}

function expectWeights(golden: GoldenCase, key: string, actual: Tensor): void {
  const expected = Tensor.float32(withoutKeyBias(key, golden.tensor(key).toFloat32()), actual.shape);
  const compared = { ...golden, tensor: () => expected };
  expectGolden(compared, key, withoutKeyBias(key, actual.toFloat32()));
}

describe.each(goldenNames("train_steps"))("%s", (name) => {
  it.each([
    ["as it is written", false],
    ["in the CPU's forms", true],
  ])("trains as the reference, %s: losses, rates, gradient norms, weights and averages", async (_, optimize) => {
    const golden = await loadGolden(name);
    const { config, recipe } = parseOfficialDenoiser(golden.config.arch, golden.config.model);
    const { train } = golden.config;
    const objective = objectiveOf(recipe);
    const batch = golden.tensor("in.x0").shape[1]!;
    const step = gradientStep(trainingLoss(config, objective, batch), () => true, { optimize });
    const { lr, warmup_lr: warmupLr, warmup_steps: warmupSteps } = train;
    const schedules = {
      constant: { kind: "constant", lr },
      constant_with_warmup: { kind: "constant-warmup", lr, warmupLr, warmupSteps },
    } as const;
    const average = { decay: train.ema_decay, warmupSteps: train.ema_warmup_steps };
    const program = stepProgram(step, {
      name: "denoiser",
      kind: "adamw",
      schedule: schedules[train.lr_scheduler as keyof typeof schedules],
      betas: train.betas,
      weightDecay: train.weight_decay,
      noDecay: train.no_wd_keys,
      clipNorm: train.clip_grad,
      averages: [average],
    });
    const engine = await createEngine({ device: "cpu", threads: 1 });
    const weights = completeWeights([program], golden.weights, 0);
    const state = await createTrainingState(engine, [program], weights);
    const loaded = await engine.load(program, weights, { state });
    const [losses, rates, norms]: [number[], number[], number[]] = [[], [], []];
    for (let i = 0; i < train.steps; i++) {
      const times = golden.tensor(golden.tensors.has("in.n") ? "in.n" : "in.t").row(i);
      const perSample = Object.entries(objective.coefficients(times.toFloat32())).map(
        ([key, values]) => [key, Tensor.float32(values)] as const,
      );
      const metrics = await loaded.run({
        latents: golden.tensor("in.x0").row(i),
        noise: golden.tensor("in.noise").row(i),
        labels: golden.tensor("in.y").row(i),
        ...Object.fromEntries(perSample),
      });
      losses.push(metrics.loss!.toFloat32()[0]!);
      rates.push(metrics.learning_rate!.toFloat32()[0]!);
      norms.push(metrics.gradient_norm!.toFloat32()[0]!);
    }
    expectGolden(golden, "out.losses", losses);
    expectClose(rates, golden.tensor("out.lrs"), 1e-6);
    expectGolden(golden, "out.grad_norms", norms);
    const stored = [...golden.tensors.keys()].filter((key) => key.startsWith("out.w."));
    const trained = new Set(step.weights.map((weight) => `out.w.${weight.name}`));
    expect([...trained].filter((key) => !stored.includes(key))).toEqual([]);
    // What isn't trained didn't change in the reference either.
    for (const key of stored.filter((name) => !trained.has(name))) {
      expect(golden.tensor(key).data).toEqual(golden.tensor(key.slice("out.".length)).data);
    }
    for (const { name: parameter } of step.weights) {
      expectWeights(golden, `out.w.${parameter}`, await state.read(parameter));
      expectWeights(golden, `out.ema.${parameter}`, await state.read(`ema.${average.decay}.${parameter}`));
    }
    await engine.dispose();
  });
});
