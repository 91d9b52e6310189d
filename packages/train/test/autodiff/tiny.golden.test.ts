/** Gradients through tiny autoencoders against the reference's: of sum(output * g) with respect to the input, for both halves. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openSafetensorsFile } from "@dcae/core/checkpoint";
import { createScope, input, mul, reduceSum, type Tensor, type Value } from "@dcae/core/graph";
import { openCheckpoint } from "@dcae/core/internal";
import { tinyDecode, tinyEncode } from "@dcae/core/models";
import type { Engine } from "@dcae/core/runtime";
import { expectClose } from "@dcae/test-support/compare";
import { runValues } from "@dcae/test-support/run-graph";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/gradients.js";
import { forwardForm, gradientForms } from "../../src/step/optimize-forward.js";
import { ENGINES } from "../support/engines.js";

const folder = fileURLToPath(new URL("../../../core/test/golden/tiny/", import.meta.url));
const SNAPSHOT = "_diffusers";
const names = readdirSync(folder).flatMap((name) => (name.endsWith(SNAPSHOT) ? [name.slice(0, -SNAPSHOT.length)] : []));

const engines = new Map<string, Engine>();
beforeAll(async () => {
  for (const [name, start] of Object.entries(ENGINES)) engines.set(name, await start());
});
afterAll(() => Promise.all([...engines.values()].map((engine) => engine.dispose())));

test("there are cases", () => expect(names.length).toBeGreaterThan(0));

describe.each(names)("%s", (name) => {
  test.each([...Object.keys(ENGINES).map((engine) => [engine, false] as const), ["OnnxEngine", true] as const])(
    "on %s, optimize: %s",
    async (engine, optimize) => {
      const { model, weights } = await openCheckpoint(`${folder}${name}${SNAPSHOT}`);
      const file = await openSafetensorsFile(`${folder}${name}.safetensors`);
      const tensor = (key: string): Promise<Tensor> =>
        (file.entries.get(key) ?? expect.fail(`no tensor ${key}`)).read();
      const { tolerance } = JSON.parse(readFileSync(`${folder}${name}.json`, "utf8"));
      if (model.kind !== "tiny") return expect.fail(`a ${model.kind}`);
      const { config } = model;
      const halves = [
        { x: "in.x", seed: "in.grad.latent", gradient: "grad.x", half: tinyEncode },
        { x: "in.latent", seed: "in.grad.picture", gradient: "grad.latent", half: tinyDecode },
      ];
      for (const { x, seed, gradient, half } of halves) {
        const [xs, gs] = [await tensor(x), await tensor(seed)];
        const value = input("x", xs.shape);
        const y = half(createScope(), value, config);
        const sum = reduceSum(mul(y, input("g", gs.shape)));
        const [loss] = forwardForm([sum], () => false, optimize) as [Value];
        const [dx] = gradients(loss, [value], gradientForms(optimize)) as [Value];
        const results = await runValues(engines.get(engine) as Engine, { dx }, { x: xs, g: gs }, weights);
        expectClose(results.dx as Tensor, await tensor(gradient), tolerance.relative, gradient);
      }
      await Promise.all([file.close(), weights.close()]);
    },
  );
});
