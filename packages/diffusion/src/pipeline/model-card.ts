/** Model cards of denoisers and pipelines: the README.md with front matter that the Hugging Face hub shows. Only what the model itself tells. */
import { formatCount } from "@dcae/core/internal";
import { countParameters } from "@dcae/core/models";
import { denoiserParameters } from "../denoisers/denoise.js";
import type { DenoiserDescription } from "./denoiser-checkpoint.js";

/**
 * The card of a folder with a denoiser.
 *
 * @param withAutoencoder whether the folder holds the autoencoder too, as that of a pipeline does
 */
export function denoiserCard(description: DenoiserDescription, withAutoencoder: boolean): string {
  const { config, autoencoder, scalingFactor, shiftFactor, classes } = description;
  const { total } = countParameters(denoiserParameters(config));
  const side = config.inputSize;
  const named = classes === null ? "" : ` (${classes.slice(0, 3).join(", ")}${classes.length > 3 ? ", ..." : ""})`;
  const of = config.numClasses === 0 ? "no classes" : `${formatCount(config.numClasses)} classes${named}`;
  const scale =
    scalingFactor === null ? "no known scale" : `the scale \`(latent - ${shiftFactor}) * ${scalingFactor}\``;
  const decoder = withAutoencoder
    ? "The autoencoder is in `vae/`."
    : autoencoder === null
      ? "Which autoencoder its latents are of isn't known."
      : `Its latents are of \`${autoencoder}\`.`;
  const label = classes?.[0] === undefined ? "0" : JSON.stringify(classes[0]);
  return `---
library_name: dcae
pipeline_tag: unconditional-image-generation
tags:
- diffusion
- ${config.arch}
---

# ${config.arch} for latents of ${config.inChannels}x${side}x${side}

A ${config.arch} diffusion model with ${formatCount(total)} parameters and ${of}, for latents of ${config.inChannels} channels and
${side}x${side} positions in ${scale}. ${decoder}

\`\`\`ts
import { saveImage } from "@dcae/core";
import { ClassConditionalPipeline } from "@dcae/diffusion";

const pipeline = await ClassConditionalPipeline.fromPretrained("."); // this folder
const { images } = await pipeline.generate({ labels: [${label}], guidance: 2, seed: 0 });
for (const [i, image] of images.entries()) await saveImage(image, \`sample-\${i}.png\`);
await pipeline.dispose();
\`\`\`

## To be filled in

What it was trained on, how good it is, and its license (\`license:\` in the lines above): this card was written with the weights, which
don't say.
`;
}
