import { sourceConfig } from "../../vitest.shared.js";

// Runs of the full FID network take seconds, and minutes where other work shares the machine.
export default sourceConfig(import.meta.url, { testTimeout: 240_000, hookTimeout: 120_000 });
