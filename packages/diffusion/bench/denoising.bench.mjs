// One denoising step of UViT-S and DiT-S (or of the sizes given as arguments) on the latents of each autoencoder.
import { createEngine } from "@dcae/core";
import { benchDenoising, benchDiffusion } from "../dist/index.js";

const sizes = process.argv.slice(2);
const engine = await createEngine({ device: "cpu" });
const entries = await benchDiffusion(engine, {
  denoisers: sizes.length > 0 ? sizes : ["uvit-s", "dit-s"],
  parts: { denoise: benchDenoising },
  ...{ batch: 1, warmup: 1, runs: 5 },
});
console.log(`pictures of 512 px, batch 1, ${engine.name}`);
for (const { denoiser, latent, patchSize, tokens, gmacs, times, speedup, problem } of entries) {
  const cells = [denoiser.padEnd(8), latent.padEnd(20)];
  if (problem === undefined) {
    cells.push(
      `patch ${patchSize}`,
      `${String(tokens).padStart(5)} tokens`,
      `${gmacs.toFixed(2).padStart(8)} GMACs`,
      `${(1000 * times.median).toFixed(1).padStart(9)} ms`,
      `${((2 * gmacs) / times.median).toFixed(0).padStart(5)} GFLOP/s`,
      `${speedup?.toFixed(1).padStart(6)} x`,
    );
  } else cells.push(problem);
  console.log(cells.join("  "));
}
await engine.dispose();
