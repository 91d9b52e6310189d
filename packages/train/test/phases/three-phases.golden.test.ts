/** The three phases one after another on a tiny autoencoder, three updates each, against the reference. */
import { createProgram, createScope, input, type Program, Tensor } from "@dcae/core/graph";
import { dcAeDecode, dcAeEncode, parseOfficialConfig } from "@dcae/core/models";
import type { Engine } from "@dcae/core/runtime";
import { expectWithin, type Tolerance } from "@dcae/test-support/compare";
import type { RawConfig } from "@dcae/test-support/golden";
import { memoryWeights } from "@dcae/test-support/weights";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adversarialStep } from "../../src/phases/adversarial.js";
import { lpipsPerceptual } from "../../src/phases/perceptual.js";
import { lastLayerName, type Phase, phasePrefixes } from "../../src/phases/phase-parameters.js";
import { type ReconstructionLossOptions, reconstructionObjective } from "../../src/phases/reconstruction.js";
import { startsWithAny } from "../../src/step/training-rule.js";
import { completeWeights, createTrainingState } from "../../src/step/training-state.js";
import { gradientStep, type OptimizerOptions, stateProgram, stepProgram } from "../../src/step/training-step.js";
import { ENGINES } from "../support/engines.js";
import { goldenNames, loadGolden } from "../support/golden.js";

const [CASE] = goldenNames("train_phases") as [string];

const golden = await loadGolden(CASE);

const optimizer = (name: string, config: RawConfig): OptimizerOptions => ({
  name,
  kind: "adamw",
  schedule: { kind: "constant", lr: config.lr },
  betas: config.betas,
  eps: config.eps,
  weightDecay: config.weight_decay,
  noDecay: config.no_wd_keys,
});

function phaseProgram(phase: Phase, images: readonly number[]): Program {
  const { model, lpips_widths, ndf, n_layers, l1_weight, lpips_weight, phases } = golden.config;
  const config = parseOfficialConfig(model);
  const settings = phases[phase - 1];
  const prefixes = phasePrefixes(phase, config);
  expect(new Set(prefixes)).toEqual(new Set(settings.trainable));
  const trains = startsWithAny(prefixes);
  const options: ReconstructionLossOptions = {
    reconstruct: (scope, x) => dcAeDecode(scope, dcAeEncode(scope, x, config), config),
    images: images as [number, number, number, number],
    l1Weight: l1_weight,
    lpipsWeight: lpips_weight,
    perceptual: lpipsPerceptual({ widths: [...lpips_widths, lpips_widths.at(-1)] }),
  };
  if (!settings.gan) {
    return stepProgram(
      gradientStep(reconstructionObjective(options), trains),
      optimizer("autoencoder", settings.optim),
    );
  }
  expect(lastLayerName(config)).toBe(golden.config.last_layer);
  const step = adversarialStep({
    ...options,
    trains,
    lastLayer: lastLayerName(config),
    weight: settings.disc_weight,
    discriminator: { width: ndf, layers: n_layers },
    generatorOptimizer: optimizer("autoencoder", settings.optim),
    discriminatorOptimizer: optimizer("discriminator", settings.optim_disc),
  });
  return stateProgram("phase 3", step);
}

const PHASES = (golden.config.phases as readonly unknown[]).map((_, i) => `phase${i + 1}`);
const LOG_COLUMNS = ["l1", "lpips", "g_loss", "lambda", "d_loss", "loss"];

/** Pictures of bytes as the network takes them. */
const toInput = (bytes: Tensor) =>
  Tensor.float32(
    bytes.toFloat32().map((v) => v / 127.5 - 1),
    bytes.shape,
  );

/** Runs the three phases; the results that the tests look at, by the reference's names. */
async function train(engine: Engine): Promise<Map<string, Tensor>> {
  const results = new Map<string, Tensor>();
  const rename: Readonly<Record<string, string>> = { "ae.": "", "disc.": "discriminator.", "lpips.": "lpips." };
  const weights = new Map<string, Tensor>();
  for (const [from, to] of Object.entries(rename)) {
    for (const [name, tensor] of golden.below(`w.${from}`)) weights.set(`${to}${name}`, tensor);
  }
  for (const phase of PHASES.map((_, i) => (i + 1) as Phase)) {
    const images = golden.tensor(`in.phase${phase}.images`);
    const program = phaseProgram(phase, images.shape.slice(1));
    const complete = completeWeights([program], memoryWeights(weights), 0);
    const state = await createTrainingState(engine, [program], complete);
    const loaded = await engine.load(program, complete, { state });
    const log: number[] = [];
    for (let step = 0; step < (images.shape[0] as number); step++) {
      const outputs = await loaded.run({ x: toInput(images.row(step)) });
      log.push(...LOG_COLUMNS.map((name) => (outputs[name]?.at() as number) ?? 0));
    }
    results.set(`phase${phase}.log`, Tensor.float32(log, [log.length / LOG_COLUMNS.length, LOG_COLUMNS.length]));
    for (const [name, tensor] of await state.readAll()) {
      if (!/^(encoder|decoder|discriminator)\./.test(name)) continue;
      weights.set(name, tensor);
      const key = name.startsWith("discriminator.") ? name.replace("discriminator.", "disc.") : `ae.${name}`;
      results.set(`phase${phase}.${key}`, tensor);
    }
    await loaded.dispose();
    await state.dispose();
  }
  const config = parseOfficialConfig(golden.config.model);
  const image = toInput(golden.tensor("in.eval.image"));
  const scope = createScope();
  const latent = dcAeEncode(scope, input("x", image.shape), config);
  const program = createProgram("evaluate", { latent, recon: dcAeDecode(scope, latent, config) });
  const evaluation = await engine.load(program, memoryWeights(weights));
  for (const [name, tensor] of Object.entries(await evaluation.run({ x: image }))) results.set(`final.${name}`, tensor);
  return results;
}

function toleranceOf(name: string): Tolerance {
  const { overrides = {}, ...tolerance } = golden.tolerance;
  return Object.entries(overrides).find(([part]) => `out.${name}`.includes(part))?.[1] ?? tolerance;
}

/** A tensor in the form in which the reference stored it. */
function stored(results: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const [base, form] = name.split("#") as [string, string | undefined];
  const tensor = results.get(base);
  if (tensor === undefined) throw new Error(`the run left no ${base}`);
  const values = tensor.toFloat32();
  if (form === "head_tail") {
    const each = golden.tensor(`out.${name}`).size / 2;
    return Tensor.float32([...values.slice(0, each), ...values.slice(-each)]);
  }
  if (form === "norm") return Tensor.float32([Math.sqrt(values.reduce((sum, v) => sum + v * v, 0))]);
  return tensor;
}

describe.each(Object.entries(ENGINES))("%s", (_, start) => {
  let engine: Engine;
  let results: Map<string, Tensor>;
  beforeAll(async () => {
    engine = await start();
    results = await train(engine);
  });
  afterAll(() => engine.dispose());

  test.each([...PHASES.map((phase) => `${phase}.log`), "final.latent", "final.recon"])("%s", (name) => {
    expectWithin(stored(results, name), golden.tensor(`out.${name}`), toleranceOf(name), name);
  });

  test.each(PHASES)("%s: every tensor that trained", (phase) => {
    const names = [...golden.below(`out.${phase}.`).keys()].filter((name) => name !== "log");
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) {
      const key = `${phase}.${name}`;
      expectWithin(stored(results, key), golden.tensor(`out.${key}`), toleranceOf(key), key);
    }
  });

  test.each(PHASES)("%s: nothing else changed", (phase) => {
    const expected = [...golden.below(`out.${phase}.`).keys()].map((name) => name.split("#")[0] as string);
    const changed = [...results.keys()].filter((name) => name.startsWith(`${phase}.`) && !name.endsWith("tracked"));
    expect(new Set(changed.map((name) => name.slice(phase.length + 1)))).toEqual(new Set(expected));
  });
});
