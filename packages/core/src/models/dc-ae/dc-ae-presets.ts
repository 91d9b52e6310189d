/** The published DC-AE models, as data (dcae.md section 4). */
import type { PresetBase, PublishedEvaluation } from "../family.js";
import { ARCHITECTURES, type Architecture, type ArchitectureId } from "./architectures.js";
import type { DcAeConfig } from "./dc-ae-config.js";

export interface DcAePreset extends PresetBase {
  readonly kind: "dc-ae";
  /** Training recipe: ImageNet, mixed data, SANA, SANA with a light decoder, 1.1, or 1.5 (adaptive latent channels). */
  readonly family: "in" | "mix" | "sana" | "lite" | "1.1" | "1.5";
  readonly architecture: ArchitectureId;
  readonly config: DcAeConfig;
}

interface DcAeRow {
  readonly name: string;
  readonly family: DcAePreset["family"];
  readonly architecture: ArchitectureId;
  readonly scalingFactor: number | null;
  /** Default: the family's owner with the preset's name. */
  readonly hubId?: null;
  readonly aliases?: readonly string[];
  readonly published?: PublishedEvaluation;
}

const dcAeRows: readonly DcAeRow[] = [
  { name: "dc-ae-f32c32-in-1.0", family: "in", architecture: "f32c32-in", scalingFactor: 0.3189 },
  { name: "dc-ae-f32c32-mix-1.0", family: "mix", architecture: "f32c32-in", scalingFactor: 0.4552 },
  // Known from the newest official code's registry only.
  { name: "dc-ae-f32c32-in-1.0-256px", family: "in", architecture: "f32c32-in", scalingFactor: null, hubId: null },
  {
    name: "dc-ae-f64c128-in-1.0",
    family: "in",
    architecture: "f64c128-in",
    scalingFactor: 0.2889,
    published: {
      dataset: "ImageNet val",
      resolution: 512,
      psnr: 26.149,
      rFid: 0.2168,
      ssim: 0.7105,
      lpips: 0.0802,
      clipIqa: 0.7562,
      latent: { mean: -0.0523, rms: 3.4593, std: 3.4589 },
    },
  },
  { name: "dc-ae-f64c128-mix-1.0", family: "mix", architecture: "f64c128-in", scalingFactor: 0.4538 },
  { name: "dc-ae-f128c512-in-1.0", family: "in", architecture: "f128c512-in", scalingFactor: 0.4883 },
  { name: "dc-ae-f128c512-mix-1.0", family: "mix", architecture: "f128c512-in", scalingFactor: 0.362 },
  {
    name: "dc-ae-f32c32-sana-1.0",
    family: "sana",
    architecture: "f32c32-sana",
    scalingFactor: 0.41407,
    published: { dataset: "MJHQ", resolution: 1024, psnr: 29.31, rFid: 0.339 },
  },
  {
    // The encoder of 1.0 with a better decoder.
    name: "dc-ae-f32c32-sana-1.1",
    family: "sana",
    architecture: "f32c32-sana",
    scalingFactor: 0.41407,
    published: { dataset: "MJHQ", resolution: 1024, psnr: 29.74, rFid: 0.314 },
  },
  {
    name: "dc-ae-lite-f32c32-sana-1.1",
    family: "lite",
    architecture: "f32c32-lite",
    scalingFactor: 0.41407,
    aliases: ["dc-ae-lite-f32c32", "dc-ae-lite"],
  },
  { name: "dc-ae-f32c128-1.1", family: "1.1", architecture: "f32c128-1.1", scalingFactor: null },
  { name: "dc-ae-f32c128-1.5", family: "1.5", architecture: "f32c128-1.5", scalingFactor: null },
  // The factor is that of the published diffusion configurations.
  { name: "dc-ae-f64c128-1.5", family: "1.5", architecture: "f64c128-1.5", scalingFactor: 0.5935 },
];

const owners: Readonly<Record<DcAePreset["family"], string>> = {
  in: "mit-han-lab",
  mix: "mit-han-lab",
  sana: "mit-han-lab",
  lite: "mit-han-lab",
  "1.1": "dc-ai",
  "1.5": "dc-ai",
};

function dcAePreset({ aliases = [], hubId, ...row }: DcAeRow): DcAePreset {
  const { config, parameters, gmacs }: Architecture = ARCHITECTURES[row.architecture];
  const defaultHubId = `${owners[row.family]}/${row.name}`;
  return { kind: "dc-ae", ...row, aliases, hubId: hubId === null ? null : defaultHubId, config, parameters, gmacs };
}

export const DC_AE_PRESETS: readonly DcAePreset[] = dcAeRows.map(dcAePreset);
