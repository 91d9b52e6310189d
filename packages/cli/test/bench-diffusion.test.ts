/** `dcae bench diffusion`: the table, and what is refused. */
import { expect, test } from "vitest";
import { failWith } from "./support/cli.js";
import { formatDiffusionBench } from "./support/diffusion-bench.js";

test("a case that fails is named, and nothing is compared with it", () => {
  const entry = { denoiser: "uvit-h", part: "train", patchSize: 1, batch: 1 } as const;
  const text = formatDiffusionBench({
    entries: [
      { ...entry, latent: "sd-vae-f8-512", problem: "too large" },
      {
        ...entry,
        latent: "dc-ae-f64c128-512",
        tokens: 64,
        gmacs: 33.2,
        times: { median: 2, min: 2, max: 2, spread: 0, runs: 1 },
      },
    ],
  });
  expect(text).toMatch(/^sd-vae-f8-512 .*failed: too large$/m);
  expect(text).toMatch(/^dc-ae-f64c128-512 .* 100 *$/m);
});

test.each([
  [["uvit-x"], 'unknown denoiser "uvit-x"'],
  [["--latents", "vae"], "Give a list of"],
  [["--parts", "both"], "Give a list of denoise, train"],
])("refuses %j", async (argv, message) => {
  expect(await failWith(2, "bench", "diffusion", ...argv)).toContain(message);
});
