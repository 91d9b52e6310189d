/** The table of parameters: in the plan, and in the run's folder. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { modelParameters } from "@dcae/core/models";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { describeModel } from "../../src/trainer/phase-start.js";
import { planTraining } from "../../src/trainer/plan-training.js";
import { TINY_EVERYTHING, tinyTraining } from "../support/tiny-training.js";
import { train } from "../support/train.js";

const folder = temporaryFolder();
const engine = useEngine();

test("names every parameter once, with its optimizer, rate and decay, and lies in the run's folder", async () => {
  const config = tinyTraining([{ ...TINY_EVERYTHING, steps: 1 }]);
  const { parameters } = planTraining(config)[0]!;
  const model = modelParameters(describeModel(config));
  const own = parameters.slice(0, model.length);
  expect(own.map(({ name, shape }) => [name, shape])).toEqual(model.map(({ name, shape }) => [name, shape]));
  expect(parameters.slice(model.length).every(({ name }) => name.startsWith("discriminator."))).toBe(true);
  expect(new Set(parameters.map(({ name }) => name)).size).toBe(parameters.length);

  const row = (name: string) => parameters.find((found) => found.name === name);
  const stays = { trained: false, optimizer: null, rate: null, decay: null };
  expect(row(model[0]!.name)).toEqual({
    ...{ name: model[0]!.name, shape: model[0]!.shape },
    ...stays,
  });
  // Running statistics are computed, not trained.
  expect(row("discriminator.main.3.running_mean")).toMatchObject(stays);
  expect(row("decoder.project_out.op_list.0.weight")).toMatchObject({
    ...{ trained: true, optimizer: "lion.autoencoder-head", rate: 1e-3, decay: 0.3 },
  });
  const stage = own.filter(({ name, trained }) => trained && name.startsWith("decoder.stages.1."));
  const bias = stage.filter(({ name }) => name.endsWith("bias"));
  expect([bias.length > 0, stage.length > bias.length]).toEqual([true, true]);
  for (const { name, optimizer, decay } of stage) {
    expect([name, optimizer, decay]).toEqual([name, "adamw.autoencoder", name.endsWith("bias") ? 0 : 0.1]);
  }
  expect(row("discriminator.main.3.weight")).toMatchObject({ optimizer: "came.discriminator-norms", decay: 0 });
  expect(row("discriminator.main.0.weight")).toMatchObject({ optimizer: "adamw.discriminator" });

  await train(engine, folder, config);
  const lines = (await readFile(join(folder, "everything", "parameters.tsv"), "utf8")).trimEnd().split("\n");
  expect(lines[0]).toBe("name\tshape\ttrained\toptimizer\trate\tdecay");
  expect(lines.length).toBe(parameters.length + 1);
  expect(lines).toContain("discriminator.main.3.running_mean\t[8]\tno\t-\t-\t-");
  expect(lines).toContain("decoder.project_out.op_list.0.weight\t[8]\tyes\tlion.autoencoder-head\t0.001\t0.3");
});
