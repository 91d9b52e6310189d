/** Every op's value and gradient on the pure backends of TensorFlow.js against ONNX Runtime, with the cases of finite differences. */
import { createRandom, input, mul, OP_NAMES, type OpName, reduceSum, sizeOf, Tensor } from "@dcae/core/graph";
import { createEngine, type Engine } from "@dcae/core/runtime";
import { relativeError } from "@dcae/test-support/compare";
import { runValues } from "@dcae/test-support/run-graph";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/gradients.js";
import { createTfjsEngine } from "../../src/tfjs/tfjs-engine.js";
import { opCases, type Sizes } from "../support/op-cases.js";

let onnx: Engine;
/** All of them: tfjs has one current backend, so the tests of one are done before the next starts. */
let tfjs: Engine;
beforeAll(async () => {
  onnx = await createEngine({ device: "cpu", threads: 1 });
});
afterAll(() => onnx.dispose());

const sizes: fc.Arbitrary<Sizes> = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  c: fc.integer({ min: 1, max: 3 }),
  h: fc.integer({ min: 1, max: 4 }),
  w: fc.integer({ min: 1, max: 4 }),
  variant: fc.integer({ min: 0, max: 11 }),
});

function draw(seed: number, shape: readonly number[], [low, high]: readonly [number, number]): Tensor {
  return Tensor.float32(createRandom(seed, 9).uniform(new Float32Array(sizeOf(shape)), low, high), shape);
}

describe.each(["cpu", "wasm"] as const)("%s", (backend) => {
  beforeAll(async () => {
    tfjs = await createTfjsEngine({ backend });
  });
  afterAll(() => tfjs.dispose());

  test.each(OP_NAMES as OpName[])("value and gradient of %s", async (op) => {
    await fc.assert(
      fc.asyncProperty(sizes, async (drawn) => {
        const { shapes, build, range = [-2, 2] } = opCases[op](drawn);
        const xs = shapes.map((shape, i) => input(`x${i}`, shape));
        const y = build(...xs);
        const loss = reduceSum(mul(y, input("c", y.shape)));
        const outputs = Object.fromEntries(gradients(loss, xs).map((value, i) => [`gradient${i}`, value]));
        const inputs: Record<string, Tensor> = { c: draw(100, y.shape as number[], [-1, 1]) };
        shapes.forEach((shape, i) => {
          inputs[`x${i}`] = draw(i + 1, shape, range);
        });
        const values = { y, ...outputs };
        const [expected, actual] = [await runValues(onnx, values, inputs), await runValues(tfjs, values, inputs)];
        for (const [name, tensor] of Object.entries(expected)) {
          expect(relativeError(actual[name]!, tensor), `${name} of ${JSON.stringify(drawn)}`).toBeLessThanOrEqual(1e-5);
        }
      }),
      { numRuns: op.startsWith("conv") ? 14 : 6, seed: 2 },
    );
  });
});
