/** Published sizes end to end, with generated weights. UViT-H and DiT-XL need 2.7 GB of weights and are left out. */
import { createEngine, type Engine } from "@dcae/core/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildDenoiseProgram, denoiserParameters, parseOfficialDenoiser } from "../../src/index.js";
import { expectClose, expectGolden, MODEL_TOLERANCE } from "../support/compare.js";
import { loadGolden } from "../support/golden.js";
import { hashParameter, hashWeights } from "../support/hash-weights.js";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ device: "cpu", threads: 2 });
});
afterAll(async () => engine.dispose());

describe.each(["preset_dit_s_256", "preset_uvit_s_f64", "preset_uvit_s_sdf8"])("%s", (name) => {
  it("gives the reference's output", async () => {
    const golden = await loadGolden(name);
    const { config } = parseOfficialDenoiser(golden.config.arch, golden.config.model);
    const specs = denoiserParameters(config);
    const probes = golden.config.probe as string[];
    expect(probes.length).toBeGreaterThan(0);
    for (const probe of probes) {
      const spec = specs.find((candidate) => candidate.name === probe)!;
      const first = hashParameter(spec, golden.config.salt).toFloat32().subarray(0, 16);
      expectClose(first, golden.tensor(`out.probe.${probe}`), 1e-7);
    }
    const program = await engine.load(buildDenoiseProgram(config, 1), hashWeights(specs, golden.config.salt));
    const inputs = { x: golden.tensor("in.x"), t: golden.tensor("in.t"), labels: golden.tensor("in.y") };
    const { y } = await program.run(inputs);
    await program.dispose();
    expectClose(y!, golden.tensor("out.y"), MODEL_TOLERANCE);
    expectGolden(golden, "out.y", y!);
  });
});
