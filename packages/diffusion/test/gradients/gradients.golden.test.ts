import { mul, reduceSum, type Scope, Tensor, topologicalOrder, type Value } from "@dcae/core/graph";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { GRADIENT_FORMS, parameterGradients } from "@dcae/test-support/gradients";
import { runGraph } from "@dcae/test-support/run-graph";
import { describe, expect, it } from "vitest";
import { denoise } from "../../src/denoisers/denoise.js";
import { parseOfficialDenoiser } from "../../src/denoisers/official-config.js";
import { diffusionLoss, objectiveOf } from "../../src/objectives/diffusion-loss.js";
import { logitNormalIndex } from "../../src/objectives/regression.js";
import { type GoldenCase, goldenInfo, goldenNames, loadGolden } from "../support/golden.js";

const engine = useEngine();

/** The trainable parameters that a loss depends on. */
function trainable(loss: Value): Map<string, Value> {
  const leaves = topologicalOrder([loss]).filter((value) => value.op === "parameter" && value.attributes.trainable);
  const named = leaves.map((value) => [(value.attributes as { name: string }).name, value] as const);
  return new Map(named);
}

/** Largest error over all gradients, relative to the largest gradient of the whole model. */
function expectGradients(golden: GoldenCase, outputs: Record<string, Tensor>): void {
  const names = [...golden.tensors.keys()].filter((name) => name.startsWith("grad"));
  expect(names.filter((name) => name.startsWith("grad."))).toHaveLength(golden.n_grads);
  expect(Object.keys(outputs).sort()).toEqual([...names].sort());
  for (const name of names) {
    const [actual, expected] = [outputs[name]!, golden.tensor(name)];
    expectGolden(golden, name, actual);
    const [a, b] = [actual.toFloat32(), expected.toFloat32()];
    let [error, scale] = [0, 0];
    for (let i = 0; i < b.length; i++) {
      error = Math.max(error, Math.abs(a[i]! - b[i]!));
      scale = Math.max(scale, Math.abs(b[i]!));
    }
    // A true gradient of zero (the keys' bias) is rounding noise in the reference too.
    expect(error / Math.max(scale, 1e-2), name).toBeLessThanOrEqual(1e-4);
  }
}

/** Some cases check the output only. */
const differentiated = goldenNames("forward").filter((name) => goldenInfo(name).n_grads > 0);

describe.each(differentiated)("%s", (name) => {
  it.each(GRADIENT_FORMS)("has the reference's gradients of every parameter and of the input, %s", async (_, forms) => {
    const golden = await loadGolden(name);
    const { config } = parseOfficialDenoiser(golden.config.arch, golden.config.model);
    const tensors: Record<string, Tensor> = {
      x: golden.tensor("in.x"),
      t: golden.tensor("in.t"),
      cot: golden.tensor("in.cot"),
      ...(config.numClasses === 0 ? {} : { labels: golden.tensor("in.y") }),
    };
    const forward = (scope: Scope, values: Readonly<Record<string, Value>>) => {
      const y = denoise(scope, values.x!, values.t!, values.labels, config);
      const loss = reduceSum(mul(y, values.cot!));
      const { "grad.$x": dx, ...rest } = parameterGradients(
        loss,
        new Map([...trainable(loss), ["$x", values.x!]]),
        forms,
      );
      return { ...rest, "grad_in.x": dx! };
    };
    expectGradients(golden, await runGraph(engine, tensors, forward, golden.weights, { training: true }));
  });
});

describe.each(goldenNames("loss"))("%s", (name) => {
  it.each(GRADIENT_FORMS)("has the reference's gradients of every parameter, %s", async (_, forms) => {
    const golden = await loadGolden(name);
    const { config, recipe } = parseOfficialDenoiser(golden.config.arch, golden.config.model);
    const objective = objectiveOf(recipe);
    const times = golden.tensors.has("in.normal")
      ? golden
          .tensor("in.normal")
          .toFloat32()
          .map((normal) => logitNormalIndex(normal, 1000))
      : golden.tensor(golden.tensors.has("in.n") ? "in.n" : "in.t").toFloat32();
    const perSample = Object.entries(objective.coefficients(times)).map(
      ([key, values]) => [key, Tensor.float32(values)] as const,
    );
    const tensors: Record<string, Tensor> = {
      latents: golden.tensor("in.x0"),
      noise: golden.tensor("in.noise"),
      labels: golden.tensor("in.y"),
      ...Object.fromEntries(perSample),
    };
    const outputs = await runGraph(
      engine,
      tensors,
      (scope, values: Readonly<Record<string, Value>>) => {
        const { loss, constants } = diffusionLoss(scope, config, objective, values);
        return parameterGradients(loss, trainable(loss), { constants, ...forms });
      },
      golden.weights,
      { training: true },
    );
    expectGradients(golden, outputs);
  });
});
