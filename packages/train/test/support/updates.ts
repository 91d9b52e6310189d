/** Updates of weights along given gradients, as an optimizer makes them. */
import { input, parameter, Tensor, ZEROS } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { memoryWeights, NO_WEIGHTS } from "@dcae/test-support/weights";
import type { NamedValue } from "../../src/optimizer/optimizer-row.js";
import { type OptimizerOptions, optimizerStep, stateProgram } from "../../src/step/training-step.js";

export const weight = (name: string, shape: readonly number[]): NamedValue => ({
  name,
  value: parameter({ name, shape, dtype: "float32", init: ZEROS, trainable: true }),
});

/** Updates `initial` along each of `steps` gradients; gives the state at the end, and the metrics of each update. */
export async function updateAlong(
  engine: Engine,
  initial: ReadonlyMap<string, Tensor>,
  steps: readonly ReadonlyMap<string, Tensor>[],
  options: OptimizerOptions,
) {
  const weights = [...initial].map(([name, { shape }]) => weight(name, shape));
  const gradients = weights.map(({ name, value }) => input(`gradient.${name}`, value.shape));
  const step = optimizerStep({ weights, gradients, buffers: new Map(), metrics: {} }, options);
  const program = stateProgram("step", step);
  const beginning = [...program.parameters.values()].map(({ name, shape, dtype }) => {
    const start = initial.get(name) ?? initial.get(name.replace(/^ema\.[\d.]+\d\./, ""));
    return [name, start ?? Tensor.zeros(shape as number[], dtype)] as const;
  });
  const state = await engine.createState(memoryWeights(beginning));
  const loaded = await engine.load(program, NO_WEIGHTS, { state });
  const metrics: Record<string, number>[] = [];
  for (const gradient of steps) {
    const feeds = [...gradient].map(([name, tensor]) => [`gradient.${name}`, tensor] as const);
    const found = Object.entries(await loaded.run(Object.fromEntries(feeds)));
    metrics.push(Object.fromEntries(found.map(([name, tensor]) => [name, tensor.at() as number])));
  }
  return { metrics, state: await state.readAll() };
}
