/**
 * The published files of the metric networks: names, origin, SHA-256, and how their tensors map to our names.
 *
 * None of them can be shipped here or is fetched silently. Hashes are those of the files as published.
 */
import { LPIPS_FILES, type NetworkFile } from "@dcae/core/nets";
import type { MetricNetwork } from "../protocols/metrics.js";

/** Our names are the names in the file. */
const same = (name: string): string => name;

export const NETWORK_FILES: Readonly<Record<MetricNetwork, readonly NetworkFile[]>> = {
  inception: [
    {
      role: "FID Inception",
      names: [
        "pt_inception-2015-12-05-6726825d.pth",
        "weights-inception-2015-12-05-6726825d.pth",
        "inception.safetensors",
      ],
      variable: "DCAE_INCEPTION",
      url: "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
      sha256: "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
      rename: same,
    },
  ],
  "lpips-alex": [LPIPS_FILES.alex.trunk, LPIPS_FILES.alex.linear],
  "lpips-vgg": [LPIPS_FILES.vgg.trunk, LPIPS_FILES.vgg.linear],
  clip: [
    {
      role: "CLIP ViT-L/14 at 336 pixels",
      names: ["clip-vit-large-patch14-336.bin", "clip-vit-large-patch14-336.safetensors"],
      variable: "DCAE_CLIP",
      url: "https://huggingface.co/openai/clip-vit-large-patch14-336/resolve/main/pytorch_model.bin",
      sha256: "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
      rename: (name) => (name.startsWith("vision_model.") || name.startsWith("visual_projection.") ? name : undefined),
    },
  ],
};
