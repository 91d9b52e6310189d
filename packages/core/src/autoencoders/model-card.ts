/** A model card: the README.md with front matter that the Hugging Face hub shows for a repository. Only what the model itself tells. */
import { formatCount } from "../format-amount.js";
import { compressionOf, familyOf, nameOfFamily } from "../models/families.js";
import type { CheckpointFormat } from "../models/family.js";
import type { ModelDescription } from "../models/model-description.js";
import { countParameters, modelParameters } from "../models/model-programs.js";

/** The card of a checkpoint in one of the formats. */
export function modelCard(model: ModelDescription, format: CheckpointFormat): string {
  const { label, className } = familyOf(model);
  const [side, channels] = [compressionOf(model), model.config.latentChannels];
  const { total } = countParameters(modelParameters(model));
  const title = model.preset ?? `${label} f${side}c${channels}`;
  const named = nameOfFamily(model.kind);
  const scaled =
    model.scalingFactor === null
      ? "No scaling factor is known."
      : `Diffusion models see \`(latent - ${model.shiftFactor ?? 0}) * ${model.scalingFactor}\`.`;
  return `---
library_name: ${format === "diffusers" ? "diffusers" : "dcae"}
tags:
- autoencoder
- ${model.kind}
---

# ${title}

${named.charAt(0).toUpperCase()}${named.slice(1)} autoencoder with ${formatCount(total)} parameters, in the ${format} format: each ${side}x${side} square of pixels becomes
${channels} numbers, and back. ${scaled}

\`\`\`ts
import { ${className}, loadImage, saveImage } from "@dcae/core";

const ae = await ${className}.fromPretrained("."); // this folder, or the repository's name
const picture = await loadImage("cat.jpg", { size: ${Math.ceil(256 / side) * side} });
await saveImage(await ae.reconstruct(picture), "cat-reconstructed.png");
await ae.dispose();
\`\`\`
${format === "diffusers" ? pythonUse(className) : ""}
## To be filled in

What it was trained on, how good it is, and its license (\`license:\` in the lines above): this card was written with the weights, which
don't say. Weights that were converted or fine-tuned keep the license that they came with.
`;
}

function pythonUse(className: string): string {
  return `
\`\`\`python
from diffusers import ${className}

ae = ${className}.from_pretrained(".")
\`\`\`
`;
}
