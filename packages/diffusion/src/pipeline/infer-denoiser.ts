/**
 * Which denoiser a file holds, from names and shapes alone, for checkpoints without configuration (the original DiT, SiT and
 * U-ViT files, and training checkpoints).
 *
 * Everything but the number of heads shows in the shapes; heads follow from the width, as in every published size. Whether a
 * UViT predicts noise or velocity doesn't show: noise is assumed, as most files do.
 */
import { ConfigError } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import type { ParsedDenoiser } from "../denoisers/official-config.js";
import { parseOfficialDenoiser } from "../denoisers/official-config.js";

/** Heads of the published sizes by width. */
const HEADS: Readonly<Record<number, number>> = { 384: 6, 512: 8, 768: 12, 1024: 16, 1152: 16, 2048: 32 };

/**
 * @param weights of the denoiser alone, under official names
 * @throws ConfigError when the shapes don't say enough
 */
export function inferDenoiser(weights: Weights): ParsedDenoiser {
  const shape = (name: string) => weights.entries.get(name)?.shape;
  const unknown = (reason: string): never => {
    throw new ConfigError(`${weights.source}: can't tell the configuration from the tensors (${reason})`, {
      hint: 'Give it as an option: denoiser: { arch: "uvit" | "dit" | ..., model: { ... } }.',
    });
  };
  const isUVit = shape("patch_embed.proj.weight") !== undefined;
  const embed = shape(isUVit ? "patch_embed.proj.weight" : "x_embedder.proj.weight");
  const position = shape("pos_embed");
  const [width, channels, patch] = embed ?? [];
  if (width === undefined || channels === undefined || patch === undefined) return unknown("no patch embedding");
  if (position === undefined) return unknown("no position embedding, so the latent size isn't known");
  const heads = HEADS[width] ?? unknown(`no published model is ${width} wide`);
  const hidden = shape(isUVit ? "mid_block.mlp.fc1.weight" : "blocks.0.mlp.fc1.weight")?.[0] ?? unknown("no MLP");
  const shared = {
    hidden_size: width,
    num_heads: heads,
    in_channels: channels,
    patch_size: patch,
    mlp_ratio: hidden / width,
  };
  const side = (extras: number) => Math.round(Math.sqrt((position[1] ?? 0) - extras)) * patch;
  const blocks = (prefix: string) => new Set([...weights.entries.keys()].flatMap((name) => blockOf(name, prefix))).size;

  if (!isUVit) {
    const rows = shape("final_layer.linear.weight")?.[0] ?? unknown("no final layer");
    const learnSigma = rows === 2 * patch * patch * channels;
    const classes = shape("y_embedder.embedding_table.weight")?.[0];
    // The original DiT is told by its learned variance and the four channels of SD-VAE: it guides three of them.
    return parseOfficialDenoiser(learnSigma && channels === 4 ? "dit_orig" : "dit", {
      ...shared,
      depth: blocks("blocks."),
      input_size: side(0),
      learn_sigma: learnSigma,
      train_scheduler: learnSigma ? "GaussianDiffusion" : "SiTSampler",
      ...(classes === undefined ? { unconditional: true } : { num_classes: classes - 1 }),
    });
  }
  const depth = 2 * blocks("in_blocks.") + (shape("in_blocks.0.norm1.weight") === undefined ? 1 : 0);
  const original = shape("label_emb.weight");
  const own = shape("label_emb.embedding_table.weight");
  const extras = original === undefined && own === undefined ? 1 : 2;
  const flags = {
    qkv_bias: shape("mid_block.attn.qkv.bias") !== undefined,
    mlp_time_embed: shape("time_embed.0.weight") !== undefined,
  };
  if (own !== undefined) {
    const keys = { ...shared, ...flags, depth, input_size: side(extras), num_classes: (own[0] ?? 1) - 1 };
    return parseOfficialDenoiser("uvit", keys);
  }
  const { hidden_size, num_heads, in_channels, patch_size, mlp_ratio } = shared;
  return parseOfficialDenoiser("uvit_orig", {
    embed_dim: hidden_size,
    num_heads,
    in_chans: in_channels,
    patch_size,
    mlp_ratio,
    ...flags,
    depth,
    img_size: side(extras),
    num_classes: original?.[0] ?? -1,
    conv: shape("final_layer.weight") !== undefined,
  });
}

function blockOf(name: string, prefix: string): string[] {
  return name.startsWith(prefix) ? [name.slice(prefix.length).split(".")[0] ?? ""] : [];
}
