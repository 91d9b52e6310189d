/** The tiny full autoencoders of the reference, plain and tiled; other forms of rewriting are in models.golden.soak.test.ts. */
import { expect, test } from "vitest";
import { autoencoderNames, describeGoldenModels } from "../support/golden-models.js";

test("the autoencoder cases are there", () => {
  expect(autoencoderNames).toEqual([
    "ae_f128_in",
    "ae_f32_in",
    "ae_f32_lite",
    "ae_f32_sana",
    "ae_f32_v15",
    "ae_f4_dim32",
    "ae_f64_in",
  ]);
});

describeGoldenModels(["off", "everywhere"]);
