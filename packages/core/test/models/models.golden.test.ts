/** The tiny full autoencoders of the reference, plain and tiled; other forms of rewriting are in models.golden.soak.test.ts. */
import { describeGoldenModels } from "../support/golden-models.js";

describeGoldenModels(["off", "everywhere"]);
