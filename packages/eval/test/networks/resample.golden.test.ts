import type { Tensor } from "@dcae/core";
import { createProgram, input } from "@dcae/core/graph";
import { resizePlanes } from "@dcae/core/image";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { runProgram } from "@dcae/test-support/run-graph";
import { describe, it } from "vitest";
import { resample, type TensorResize } from "../../src/networks/pictures.js";
import { goldenNames, loadGolden } from "../support/golden.js";

const engine = useEngine();

describe.each(goldenNames("resize"))("%s", (name) => {
  it.each<[string, TensorResize]>([
    ["out.bilinear_half_pixel", "bilinear"],
    ["out.bilinear_tf1", "bilinear-tf1"],
    ["out.bicubic_half_pixel", "bicubic"],
  ])("%s", async (key, kind) => {
    const golden = await loadGolden(name);
    const x = golden.tensor("in.x");
    const [height, width] = golden.config.size;
    const program = createProgram("resample", { y: resample(input("x", x.shape), height, width, kind) });
    const { y } = await runProgram(engine, program, { x });
    expectGolden(golden, key, (y as Tensor).toFloat32());
  });

  it("out.bilinear_antialias, which is how core resizes float planes", async () => {
    const golden = await loadGolden(name);
    const [height, width] = golden.config.size;
    const y = resizePlanes(golden.tensor("in.x"), width, height, "bilinear");
    expectGolden(golden, "out.bilinear_antialias", y.toFloat32());
  });
});
