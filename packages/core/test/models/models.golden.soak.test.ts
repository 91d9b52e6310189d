/** The tiny full autoencoders of the reference, in the forms of rewriting that models.golden.test.ts leaves out. */
import { describeGoldenModels } from "../support/golden-models.js";

describeGoldenModels(["by cost", "everywhere, large tiles"]);
