/** Published sizes end to end, with generated weights. Those that need more than 1 GB of weights are left out. */

import { sizeOf } from "@dcae/core/graph";
import { expectClose, MODEL_TOLERANCE } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { describe, expect, it } from "vitest";
import { buildDenoiseProgram, denoiserParameters } from "../../src/denoisers/denoise.js";
import { parseOfficialDenoiser } from "../../src/denoisers/official-config.js";
import { goldenInfo, goldenNames, loadGolden } from "../support/golden.js";
import { hashParameter, hashWeights } from "../support/hash-weights.js";

const engine = useEngine({ threads: 2 });

const small = goldenNames("preset").filter((name) => {
  const { arch, model } = goldenInfo(name).config;
  const specs = denoiserParameters(parseOfficialDenoiser(arch, model).config);
  return 4 * specs.reduce((sum, { shape }) => sum + sizeOf(shape), 0) < 1e9;
});

describe.each(small)("%s", (name) => {
  it("gives the reference's output", async () => {
    const golden = await loadGolden(name);
    const { config } = parseOfficialDenoiser(golden.config.arch, golden.config.model);
    const specs = denoiserParameters(config);
    const probes = golden.config.probe as string[];
    expect(probes.length).toBeGreaterThan(0);
    for (const probe of probes) {
      const spec = specs.find((candidate) => candidate.name === probe)!;
      const expected = golden.tensor(`out.probe.${probe}`);
      const first = hashParameter(spec, golden.config.salt).toFloat32().subarray(0, expected.size);
      expectClose(first, expected, 1e-7);
    }
    const program = await engine.load(
      buildDenoiseProgram(config, golden.tensor("in.x").shape[0]!),
      hashWeights(specs, golden.config.salt),
    );
    const inputs = { x: golden.tensor("in.x"), t: golden.tensor("in.t"), labels: golden.tensor("in.y") };
    const { y } = await program.run(inputs);
    await program.dispose();
    expectClose(y!, golden.tensor("out.y"), MODEL_TOLERANCE);
    expectGolden(golden, "out.y", y!);
  });
});
