import { createProgram, createRandom, createScope } from "@dcae/core/graph";
import { describe, expect, it } from "vitest";
import { diffusionInputs, trainingLoss } from "../../src/objectives/diffusion-loss.js";
import { gaussianDiffusion } from "../../src/objectives/gaussian-diffusion.js";
import { drawObjective, dropLabels, type Objective, stepRandom } from "../../src/objectives/objective.js";
import { flowMatching, noisePrediction, sanaFlow, uniObjective } from "../../src/objectives/regression.js";
import { tinyDescription } from "../support/tiny-models.js";

const uvit = tinyDescription("uvit").config;
const dit = tinyDescription("dit").config;
const objectives: readonly (readonly [Objective, typeof uvit])[] = [
  [noisePrediction(), uvit],
  [flowMatching(), uvit],
  [flowMatching({ prediction: "score", weight: "likelihood" }), uvit],
  [sanaFlow(), uvit],
  [uniObjective({ distribution: "log-snr", timeRange: [0.01, 0.99] }), uvit],
  [uniObjective({ distribution: "logit-normal" }), uvit],
  [gaussianDiffusion(), dit],
  [gaussianDiffusion({ predict: "data", loss: "rescaled-mse" }), dit],
  [gaussianDiffusion({ loss: "rescaled-kl" }), dit],
  [gaussianDiffusion({ variance: "fixed-large" }), uvit],
  [gaussianDiffusion({ variance: "fixed-small", loss: "rescaled-kl" }), uvit],
];

describe.each(objectives.map(([objective, config], i) => ({ name: `${i} ${objective.name}`, objective, config })))(
  "$name",
  ({ objective, config }) => {
    it("draws just the inputs that its program has", () => {
      const { loss, metrics } = trainingLoss(config, objective, 3)(createScope({ training: true }));
      const program = createProgram("loss", { loss, ...metrics });
      const drawn = drawObjective(objective, createRandom(1), [3, 8, 4, 4]);
      expect([...program.inputs.keys()].sort()).toEqual(["labels", "latents", ...Object.keys(drawn)].sort());
      expect(Object.keys(diffusionInputs(config, objective, 3)).sort()).toEqual([...program.inputs.keys()].sort());
      for (const [name, { shape, dtype }] of Object.entries(drawn)) {
        expect([dtype, ...shape], name).toEqual(["float32", ...program.inputs.get(name)!.shape]);
      }
    });

    it("draws finite numbers, the same for the same step of a run and others for the next", () => {
      const draw = (step: number) => drawObjective(objective, stepRandom(5, step), [64, 1, 1, 1]);
      const [first, again, next] = [draw(0), draw(0), draw(1)];
      for (const [name, tensor] of Object.entries(first)) {
        expect(again[name]!.data, name).toEqual(tensor.data);
        expect(
          tensor.toFloat32().every((value) => Number.isFinite(value)),
          name,
        ).toBe(true);
      }
      expect(next.noise!.data).not.toEqual(first.noise!.data);
      expect(next.time!.data).not.toEqual(first.time!.data);
    });
  },
);

describe("dropLabels", () => {
  it("replaces the share of labels that the model was made for by the null class", () => {
    const labels = Int32Array.from({ length: 20_000 }, (_, i) => i % 3);
    const dropped = dropLabels(labels, uvit, createRandom(2)).data as Int32Array;
    const share = dropped.filter((label) => label === 3).length / labels.length;
    expect(Math.abs(share - 0.1)).toBeLessThan(0.01);
    expect(dropped.every((label, i) => label === 3 || label === labels[i])).toBe(true);
    expect([...dropLabels([0, 1, 2], { ...uvit, classDropoutProb: 0 }, createRandom(2)).data]).toEqual([0, 1, 2]);
  });

  it("refuses what isn't a class", () => {
    expect(() => dropLabels([3], uvit, createRandom(2))).toThrow(/label 3 isn't a class/);
  });
});
