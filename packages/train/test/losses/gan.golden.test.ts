/** Discriminator, adversarial losses and the adaptive weight against the reference. */
import {
  abs,
  conv2d,
  createScope,
  div,
  input,
  mul,
  parameter,
  type RootScope,
  reduceSum,
  scalar,
  sub,
  Tensor,
  type Value,
  ZEROS,
} from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { expectWithin } from "@dcae/test-support/compare";
import { runValues } from "@dcae/test-support/run-graph";
import { memoryWeights } from "@dcae/test-support/weights";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/gradients.js";
import { chainUpdates } from "../../src/phases/adversarial.js";
import { adaptiveWeight, discriminatorLoss, ganGate, generatorLoss, patchGan } from "../../src/phases/gan.js";
import { l1Loss } from "../../src/phases/reconstruction.js";
import { overlayScope } from "../../src/step/training-rule.js";
import { ENGINES } from "../support/engines.js";
import { goldenJson, goldenNames, loadGolden } from "../support/golden.js";

describe.each(Object.entries(ENGINES))("%s", (_, start) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine.dispose());

  const parametersOf = (scope: RootScope) =>
    new Map([...scope.parameters.values()].map((spec) => [spec.name, scope.parameter(spec.name, spec.shape)]));

  test.each(goldenNames("gan_losses"))("%s", async (name) => {
    const { config, tolerance, tensor } = await loadGolden(name);
    const real = tensor("in.logits_real");
    const [r, f] = [input("r", real.shape), input("f", real.shape)];
    const [hinge, vanilla, g] = [
      discriminatorLoss("hinge", r, f),
      discriminatorLoss("vanilla", r, f),
      generatorLoss(f),
    ];
    const [hingeReal, hingeFake] = gradients(hinge, [r, f]) as [Value, Value];
    const [vanillaReal, vanillaFake] = gradients(vanilla, [r, f]) as [Value, Value];
    const [gFake] = gradients(g, [f]) as [Value];
    const values = { hinge, vanilla, g, hingeReal, hingeFake, vanillaReal, vanillaFake, gFake };
    const results = await runValues(engine, values, { r: real, f: tensor("in.logits_fake") });
    const expected = {
      hinge: "out.hinge_d_loss",
      vanilla: "out.vanilla_d_loss",
      g: "out.g_loss",
      hingeReal: "grad.hinge.logits_real",
      hingeFake: "grad.hinge.logits_fake",
      vanillaReal: "grad.vanilla.logits_real",
      vanillaFake: "grad.vanilla.logits_fake",
      gFake: "grad.g.logits_fake",
    };
    for (const [key, stored] of Object.entries(expected)) expectWithin(results[key]!, tensor(stored), tolerance, key);
    const steps = config.steps as number[];
    const one = input("one", []);
    const gate = (step: number) => ganGate(mul(one, step), config.disc_start, config.disc_factor);
    const gates = Object.fromEntries(steps.map((step) => [`s${step}`, gate(step)]));
    const factors = await runValues(engine, gates, { one: Tensor.full([], 1) });
    expect(steps.map((step) => factors[`s${step}`]!.at())).toEqual([...tensor("out.disc_factor_at_steps").toFloat32()]);
  });

  test("the full discriminator has the reference's parameters", () => {
    const scope = createScope();
    const logits = patchGan(scope, input("x", [1, 3, 256, 256]));
    expect(logits.shape).toEqual([1, 1, 30, 30]);
    const manifest = goldenJson("manifest_patchgan_ndf64_n3");
    const listed = (manifest.tensors as { name: string; shape: number[] }[]).map(
      ({ name, shape }) => `${name} [${shape}]`,
    );
    expect([...scope.parameters.values()].map(({ name, shape }) => `${name} [${shape}]`).sort()).toEqual(listed.sort());
    const trainable = [...scope.parameters.values()].filter((spec) => spec.trainable);
    expect(trainable.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)).toBe(manifest.parameters);
  });

  describe.each(goldenNames("patchgan"))("%s", (name) => {
    test("logits, running statistics, losses and gradients", async () => {
      const { config, tolerance, tensor, below } = await loadGolden(name);
      const options = { width: config.ndf, layers: config.n_layers };
      const shape = tensor("in.real").shape;
      const [real, fake] = [input("real", shape), input("fake", shape)];
      const scope = createScope();
      const pass = (x: Value, updates: Map<string, Value>) =>
        patchGan(overlayScope(scope, { training: () => true, updates }), x, options);
      const [afterReal, afterFake, afterGenerator] = [new Map<string, Value>(), new Map<string, Value>(), new Map()];
      const [logitsReal, logitsFake] = [pass(real, afterReal), pass(fake, afterFake)];
      const g = generatorLoss(pass(fake, afterGenerator));
      const parameters = parametersOf(scope);
      const counters = [...parameters.keys()].filter((key) => key.endsWith("num_batches_tracked"));
      const weights = memoryWeights([
        ...below("w."),
        ...counters.map((key) => [key, Tensor.zeros([], "int64")] as const),
      ]);
      const trained = [...scope.parameters.values()].filter((spec) => spec.trainable).map((spec) => spec.name);
      const wrt = trained.map((key) => parameters.get(key)!);
      const values: Record<string, Value> = {
        "out.eval_logits_real": patchGan(scope, real, options),
        "out.train_logits_real": logitsReal,
        "out.train_logits_fake": logitsFake,
        "out.g_loss": g,
        "grad.g_fake": gradients(g, [fake])[0]!,
      };
      for (const kind of ["hinge", "vanilla"] as const) {
        const loss = discriminatorLoss(kind, logitsReal, logitsFake);
        values[`out.${kind}_d_loss`] = loss;
        if (kind === "vanilla" && !config.vanilla_grads) continue;
        gradients(loss, wrt).forEach((value, i) => {
          values[`grad.${kind}.${trained[i]}`] = value;
        });
      }
      for (const [key, value] of chainUpdates(afterReal, afterFake, parameters)) values[`out.after_d.${key}`] = value;
      const results = await runValues(engine, values, { real: tensor("in.real"), fake: tensor("in.fake") }, weights);
      const expected = [...below("out.").keys()]
        .map((key) => `out.${key}`)
        .concat([...below("grad.").keys()].map((key) => `grad.${key}`));
      expect(Object.keys(values).sort()).toEqual(expected.sort());
      for (const key of expected) expectWithin(results[key]!, tensor(key), tolerance, key);
    });
  });

  test.each(goldenNames("adaptive_weight"))("%s", async (caseName) => {
    const { config, tolerance, tensor, below } = await loadGolden(caseName);
    const [hidden, target] = [input("hidden", tensor("in.hidden").shape), input("target", tensor("in.target").shape)];
    const trained = (name: string) =>
      parameter({ name, shape: tensor(`w.${name}`).shape, dtype: "float32", init: ZEROS, trainable: true });
    const last = trained("last.weight");
    const y = conv2d(hidden, last, { bias: trained("last.bias"), padding: config.conv_padding });
    const scope = createScope();
    const g = generatorLoss(
      patchGan(overlayScope(scope, { training: () => true, updates: new Map() }).at("disc"), y, {
        width: config.ndf,
        layers: config.n_layers,
      }),
    );
    const mean = l1Loss(target, y);
    const sum = div(reduceSum(abs(sub(target, y))), scalar(tensor("in.target").shape[0] as number));
    const at = (loss: Value) => gradients(loss, [last])[0] as Value;
    const values = {
      "out.recon": y,
      "out.nll_mean": mean,
      "out.nll_sum": sum,
      "out.g_loss": g,
      "grad.nll_mean": at(mean),
      "grad.nll_sum": at(sum),
      "grad.g": at(g),
      "out.d_weight_mean": adaptiveWeight(at(mean), at(g), config.disc_weight),
      "out.d_weight_sum": adaptiveWeight(at(sum), at(g), config.disc_weight),
      "out.d_weight_clamped": adaptiveWeight(at(mul(mean, 1e6)), at(mul(g, 1e-6)), config.disc_weight),
    };
    const inputs = { hidden: tensor("in.hidden"), target: tensor("in.target") };
    const results = await runValues(engine, values, inputs, memoryWeights(below("w.")));
    for (const key of Object.keys(values)) expectWithin(results[key]!, tensor(key), tolerance, key);
  });
});
