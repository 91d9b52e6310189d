/**
 * The published files of the metric networks: names, origin, SHA-256, and how their tensors map to our names.
 *
 * None of them can be shipped here or is fetched silently. Hashes are those of the files as published; PyTorch's own
 * file names carry the first eight digits of theirs.
 */
import type { MetricNetwork } from "../protocols/metrics.js";

export interface NetworkFile {
  /** What the file contributes, for messages. */
  readonly role: string;
  /** File names under which it is looked for. */
  readonly names: readonly string[];
  /** Environment variable that may hold its path. */
  readonly variable: string;
  readonly url: string;
  readonly sha256: string;
  /** Our name for a tensor of the file, or undefined for those that aren't needed. */
  readonly rename: (name: string) => string | undefined;
}

/** Our names are the names in the file. */
const same = (name: string): string => name;

/** torchvision's `features.N` is `net.sliceS.N` in the lpips package. */
const trunkNames =
  (sliceOf: Readonly<Record<number, number>>) =>
  (name: string): string | undefined => {
    if (name.startsWith("net.slice")) return name;
    const match = /^features\.(\d+)\.(weight|bias)$/.exec(name);
    const slice = match === null ? undefined : sliceOf[Number(match[1])];
    return slice === undefined ? undefined : `net.slice${slice}.${match?.[1]}.${match?.[2]}`;
  };

const linNames = (name: string): string | undefined => (/^lin\d\.model\.1\.weight$/.test(name) ? name : undefined);

const lpipsUrl = (trunk: string) =>
  `https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/${trunk}.pth`;

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
  "lpips-alex": [
    {
      role: "AlexNet trunk",
      names: ["alexnet-owt-7be5be79.pth", "alexnet.safetensors"],
      variable: "DCAE_ALEXNET",
      url: "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
      sha256: "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
      rename: trunkNames({ 0: 1, 3: 2, 6: 3, 8: 4, 10: 5 }),
    },
    {
      role: "LPIPS weights for AlexNet",
      names: ["lpips-alex.pth", "lpips_alex.pth", "lpips-alex.safetensors"],
      variable: "DCAE_LPIPS_ALEX",
      url: lpipsUrl("alex"),
      sha256: "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
      rename: linNames,
    },
  ],
  "lpips-vgg": [
    {
      role: "VGG16 trunk",
      names: ["vgg16-397923af.pth", "vgg16.safetensors"],
      variable: "DCAE_VGG16",
      url: "https://download.pytorch.org/models/vgg16-397923af.pth",
      sha256: "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
      rename: trunkNames({ 0: 1, 2: 1, 5: 2, 7: 2, 10: 3, 12: 3, 14: 3, 17: 4, 19: 4, 21: 4, 24: 5, 26: 5, 28: 5 }),
    },
    {
      role: "LPIPS weights for VGG16",
      names: ["lpips-vgg.pth", "lpips_vgg.pth", "lpips-vgg.safetensors"],
      variable: "DCAE_LPIPS_VGG",
      url: lpipsUrl("vgg"),
      sha256: "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
      rename: linNames,
    },
  ],
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

/** Sums of the published linear weights of LPIPS 0.1 (evaluation.md, training.md: manifests), a check for converted files. */
export const LPIPS_LIN_SUMS: Readonly<Partial<Record<MetricNetwork, readonly number[]>>> = {
  "lpips-alex": [2.34953236579895, 16.143028259277344, 39.26844024658203, 27.19717788696289, 20.317176818847656],
  "lpips-vgg": [6.925991535186768, 8.8583345413208, 17.515005111694336, 51.521324157714844, 47.03485107421875],
};
