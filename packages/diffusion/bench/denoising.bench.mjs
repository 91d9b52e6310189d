// One denoising step of UViT-S and DiT-S (or of the sizes given as arguments) on the latents of each autoencoder.
import { createEngine } from "@dcae/core";
import { benchDenoising, commonResolution, LATENTS } from "../dist/index.js";

const sizes = process.argv.slice(2);
for (const size of sizes.length > 0 ? sizes : ["uvit-s", "dit-s"]) {
  const engine = await createEngine({ device: "cpu" });
  const rows = await benchDenoising(engine, { size });
  const pixels = commonResolution(rows.map(({ latent }) => latent));
  console.log(`${size}, ${pixels} px, batch 1, ${engine.name}`);
  for (const { latent, tokens, gmacs, seconds, gflops, speedup } of rows) {
    const patch = LATENTS[latent].patchSize;
    const cells = [
      latent.padEnd(20),
      `patch ${patch}`,
      `${String(tokens).padStart(5)} tokens`,
      `${gmacs.toFixed(2).padStart(8)} GMACs`,
      `${(1000 * seconds).toFixed(1).padStart(9)} ms`,
      `${gflops.toFixed(0).padStart(5)} GFLOP/s`,
      `${speedup.toFixed(1).padStart(6)} x`,
    ];
    console.log(cells.join("  "));
  }
  await engine.dispose();
}
