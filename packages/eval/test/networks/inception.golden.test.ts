import { add, createProgram, createScope, input } from "@dcae/core/graph";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { runProgram } from "@dcae/test-support/run-graph";
import { describe, expect, it } from "vitest";
import { inception } from "../../src/networks/inception.js";
import { goldenJson, goldenNames, loadGolden } from "../support/golden.js";

const engine = useEngine();

describe("the FID network", () => {
  const narrow = goldenNames("fid_inception", ({ hashfill }) => hashfill !== true);

  it.each(narrow)("equals the reference at small width, block by block (%s)", async (caseName) => {
    const golden = await loadGolden(caseName);
    const { width_divisor: widthDivisor, classes, store } = golden.config;
    const x = golden.tensor("in.x");
    const scope = createScope();
    const values = inception(scope, input("x", x.shape), { widthDivisor, classes });
    const bias = scope.at("fc").parameter("bias", [classes]);
    const blocks = (store as string[]).map((name) => [name, values.blocks.get(name)] as const);
    const outputs = { pool3: values.pool, logits_unbiased: values.logits, logits: add(values.logits, bias) };
    const program = createProgram("tiny", { ...Object.fromEntries(blocks), ...outputs } as typeof outputs);
    const results = await runProgram(engine, program, { x }, golden.weights);
    const expected = [...golden.tensors.keys()].filter((key) => key.startsWith("out."));
    expect(
      Object.keys(results)
        .map((name) => `out.${name}`)
        .sort(),
    ).toEqual(expected.sort());
    for (const [name, tensor] of Object.entries(results)) expectGolden(golden, `out.${name}`, tensor.toFloat32());
  });

  it("asks for the tensors of the published file", () => {
    const scope = createScope();
    inception(scope, input("x", [1, 3, 299, 299]));
    const { tensors } = goldenJson("manifest_inception_fid");
    // The published network's last bias has no use: the inception score takes logits without it.
    const published = tensors.filter(({ name }: { name: string }) => name !== "fc.bias");
    const asked = [...scope.parameters.values()].map(({ name, shape }) => `${name} ${shape}`).sort();
    expect(asked).toEqual(
      published.map((entry: { name: string; shape: number[] }) => `${entry.name} ${entry.shape}`).sort(),
    );
  });
});
