/** Work and size of the published models against the numbers of the specification (dcae.md section 4). */
import { describe, expect, test } from "vitest";
import { countMacs, type Program, sizeOf } from "../../src/graph/index.js";
import { compressionOf, familyOf, PRESETS, type Preset } from "../../src/models/families.js";
import {
  buildDecodeProgram,
  buildEncodeProgram,
  countParameters,
  modelParameters,
} from "../../src/models/model-programs.js";

function programs(preset: Preset, side: number): { readonly encode: Program; readonly decode: Program } {
  const picture = [1, 3, side, side];
  const { latentChannels } = preset.config;
  const latent = side / compressionOf(preset);
  return {
    encode: buildEncodeProgram(preset, picture),
    decode: buildDecodeProgram(preset, [1, latentChannels, latent, latent]),
  };
}

const trainable = (program: Program, prefix: string) =>
  [...program.parameters.values()]
    .filter((spec) => spec.trainable && spec.name.startsWith(prefix))
    .reduce((sum, spec) => sum + sizeOf(spec.shape), 0);

describe.each(PRESETS.map((preset) => [preset.name, preset] as const))("%s", (_, preset) => {
  test.each([256, 512, 1024] as const)("GMACs at %i", (side) => {
    const { encode, decode } = programs(preset, side);
    const published = preset.gmacs[side];
    expect(countMacs(encode) / 1e9).toBeCloseTo(published.encode, 1);
    expect(countMacs(decode) / 1e9).toBeCloseTo(published.decode, 1);
  });

  test("parameters", () => {
    const { encoder, decoder, total } = countParameters(modelParameters(preset));
    expect({ encoder, decoder, total }).toEqual(preset.parameters);
    // What no program of the two has is what a decoder takes a condition with.
    const { encode, decode } = programs(preset, 256);
    const unconditioned = trainable(encode, "") + trainable(decode, "");
    if (familyOf(preset).takesCondition) expect(unconditioned).toBeLessThan(total);
    else expect(unconditioned).toBe(total);
  });
});
