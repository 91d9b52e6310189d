import { Tensor } from "@dcae/core";
import { createProgram, createScope, input, reduceSum, type Value } from "@dcae/core/graph";
import { lpips } from "@dcae/core/nets";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { gradients } from "@dcae/test-support/gradients";
import { runProgram } from "@dcae/test-support/run-graph";
import { memoryWeights } from "@dcae/test-support/weights";
import { describe, expect, it } from "vitest";
import { lpipsProgram } from "../../src/runners/pair-metrics.js";
import { goldenJson, goldenNames, loadGolden } from "../support/golden.js";
import { inRange, named, optionsOf, rows } from "../support/lpips.js";

const engine = useEngine();

/** Cases with stored weights, of one trunk or of any. */
const narrow = (trunk?: "alex" | "vgg") =>
  goldenNames("lpips_distance", ({ net, hashfill }) => hashfill !== true && (trunk === undefined || net === trunk));

describe("LPIPS with narrow trunks", () => {
  it.each(narrow())("%s", async (name) => {
    const golden = await loadGolden(name);
    const [a, b] = [golden.tensor("in.img0"), golden.tensor("in.img1")];
    const [x, y] = [input("a", a.shape), input("b", b.shape)].map((value) => inRange(golden, value)) as [Value, Value];
    const { distance, terms } = lpips(createScope(), x, y, optionsOf(golden));
    const program = createProgram("lpips", { distance, ...named(terms) });
    const results = await runProgram(engine, program, { a, b }, golden.weights);
    expectGolden(golden, "out.distance", (results.distance as Tensor).toFloat32());
    expectGolden(golden, "out.per_layer", rows(results));
  });
});

describe("gradients of LPIPS with AlexNet", () => {
  // The evaluation doesn't need them; whoever trains with this trunk does.
  it.each(narrow("alex"))("%s", async (name) => {
    const golden = await loadGolden(name);
    const [a, b] = [golden.tensor("in.img0"), golden.tensor("in.img1")];
    const picture = input("a", a.shape);
    const other = inRange(golden, input("b", b.shape));
    const { distance } = lpips(createScope(), inRange(golden, picture), other, optionsOf(golden));
    const [gradient] = gradients(reduceSum(distance, [0]), [picture]);
    const program = createProgram("gradient", { gradient: gradient as Value });
    const results = await runProgram(engine, program, { a, b }, golden.weights);
    const [expected, actual] = [golden.values("grad.img0"), (results.gradient as Tensor).toFloat32()];
    const largest = Math.max(...expected.map(Math.abs));
    const error = Math.max(...expected.map((value, i) => Math.abs(value - (actual[i] as number))));
    expect(error / largest).toBeLessThanOrEqual(1e-4);
  });
});

describe("LPIPS at full width", () => {
  it.each<["alex" | "vgg", string]>([
    ["alex", "manifest_lpips_alex"],
    ["vgg", "manifest_lpips_vgg16"],
  ])("asks for the tensors of the published files (%s)", (trunk, manifest) => {
    const program = lpipsProgram({ count: 1, height: 64, width: 64, trunk, norm: "official-evaluation" });
    const asked = [...program.parameters.values()].map(({ name, shape }) => `${name} ${shape}`).sort();
    const { tensors } = goldenJson(manifest);
    expect(asked).toEqual(
      tensors.map((entry: { name: string; shape: number[] }) => `${entry.name} ${entry.shape}`).sort(),
    );
  });

  it("refuses pictures that are too small, with the size it needs", () => {
    const build = () => lpipsProgram({ count: 1, height: 64, width: 30, trunk: "alex", norm: "lpips" });
    expect(build).toThrow(/LPIPS \(alex\) needs pictures of at least 31 pixels/);
  });
});

describe("the two places of the epsilon", () => {
  // Where features are as small as the epsilon; the golden cases have larger ones and agree with either.
  it.each(["lpips", "official-evaluation"] as const)("%s", async (norm) => {
    const golden = await loadGolden(narrow("alex")[0] as string);
    const scaled = new Map<string, Tensor>();
    for (const entry of golden.weights.entries.values()) {
      const values = (await entry.read())
        .toFloat32()
        .map((value) => (entry.name.startsWith("net.slice1") ? value * 1e-4 : value));
      scaled.set(entry.name, Tensor.float32(values, entry.shape));
    }
    const [a, b] = [golden.tensor("in.img0"), golden.tensor("in.img1")];
    const options = { ...optionsOf(golden), norm };
    const scope = createScope();
    const { terms, taps } = lpips(scope, input("a", a.shape), input("b", a.shape), options);
    const program = createProgram("tap", { part: terms[0] as Value, tap: taps[0] as Value });
    const weights = memoryWeights(scaled, "small features");
    const forward = await runProgram(engine, program, { a, b }, weights);
    const swapped = await runProgram(engine, program, { a: b, b: a }, weights);
    const [, channels, height, width] = (forward.tap as Tensor).shape as [number, number, number, number];
    const [x, y] = [forward, swapped].map(({ tap }) => (tap as Tensor).toFloat32()) as [Float32Array, Float32Array];
    const lin = (scaled.get("lin0.model.1.weight") as Tensor).toFloat32();
    const positions = height * width;
    const normOf = (values: Float32Array, p: number) => {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += (values[c * positions + p] as number) ** 2;
      return norm === "lpips" ? Math.sqrt(sum) + 1e-10 : Math.sqrt(sum + 1e-8);
    };
    let expected = 0;
    for (let p = 0; p < positions; p++) {
      const [nx, ny] = [normOf(x, p), normOf(y, p)];
      for (let c = 0; c < channels; c++) {
        const difference = (x[c * positions + p] as number) / nx - (y[c * positions + p] as number) / ny;
        expected += ((lin[c] as number) * difference ** 2) / positions;
      }
    }
    expect(expected).toBeGreaterThan(0);
    expect(((forward.part as Tensor).toFloat32()[0] as number) / expected).toBeCloseTo(1, 4);
  });
});
