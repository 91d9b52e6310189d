// @ts-check
/** The published models, as the presets of @dcae/core say. */
import { compressionOf, PRESETS } from "@dcae/core/models";

const GROUPS = [
  { title: "DC-AE", kind: "dc-ae" },
  { title: "SD-VAE and relatives", kind: "sd-vae" },
  { title: "SD-VAE with a larger decoder", kind: "asymmetric-kl" },
  { title: "Tiny autoencoders", kind: "tiny" },
];

/** @param {any} preset */
function row(preset) {
  const factor = compressionOf(preset);
  const side = 512 / factor;
  return {
    name: preset.name,
    hubId: preset.hubId,
    latent: `${preset.config.latentChannels}×${side}×${side}`,
    parameters: preset.parameters.total / 1e6,
    scalingFactor: preset.scalingFactor,
    shiftFactor: preset.shiftFactor ?? null,
    published: preset.published ?? null,
  };
}

export default {
  load: () =>
    GROUPS.map(({ title, kind }) => {
      const rows = Object.values(PRESETS)
        .filter((preset) => preset.kind === kind)
        .map(row);
      return { title, rows, published: rows.some(({ published }) => published !== null) };
    }),
};
