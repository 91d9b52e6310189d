/**
 * Parameter names of SD-VAE (dcae.md section 10): those of diffusers, which our model uses, to the older ones.
 *
 * Files of 2022 call the linear layers of attention `query, key, value, proj_attn`. The original code (latent diffusion, "LDM")
 * has 1x1 convolutions there, another tree of names, and counts the decoder's levels from the full resolution.
 */
import type { NameRule, WeightNames, WeightPiece } from "../family.js";

const ATTENTION =
  /^((?:encoder|decoder)\.mid_block\.attentions\.0)\.(to_q|to_k|to_v|to_out\.0|group_norm)\.(weight|bias)$/;

const oldNames: Readonly<Record<string, string>> = {
  to_q: "query",
  to_k: "key",
  to_v: "value",
  "to_out.0": "proj_attn",
  group_norm: "group_norm",
};

/** Names as in diffusers files of 2022. */
export const klToOldDiffusers: NameRule = ({ name, shape }) => {
  const [, place, layer = "", kind] = ATTENTION.exec(name) ?? [];
  return [{ name: place === undefined ? name : `${place}.${oldNames[layer]}.${kind}`, shape }];
};

const ldmAttentionNames: Readonly<Record<string, string>> = {
  to_q: "q",
  to_k: "k",
  to_v: "v",
  "to_out.0": "proj_out",
  group_norm: "norm",
};

const KIND = "(weight|bias)";

/** Names as in the original code of latent diffusion. */
export function klToLdm(specs: readonly WeightPiece[]): NameRule {
  const levels = specs.map(({ name }) => Number(/^decoder\.up_blocks\.(\d+)\./.exec(name)?.[1] ?? 0));
  const deepest = Math.max(0, ...levels);
  const level = (part: string, index: string) =>
    part === "encoder" ? `down.${index}` : `up.${deepest - Number(index)}`;

  const rules: readonly (readonly [pattern: RegExp, target: (...groups: string[]) => string])[] = [
    [
      new RegExp(`^(encoder|decoder)\\.(?:down|up)_blocks\\.(\\d+)\\.resnets\\.(\\d+)\\.(\\w+)\\.${KIND}$`),
      (_, part = "", index = "", block = "", layer = "", kind = "") =>
        `${part}.${level(part, index)}.block.${block}.${resnetLayer(layer)}.${kind}`,
    ],
    [
      new RegExp(`^(encoder|decoder)\\.(?:down|up)_blocks\\.(\\d+)\\.(down|up)samplers\\.0\\.conv\\.${KIND}$`),
      (_, part = "", index = "", way = "", kind = "") => `${part}.${level(part, index)}.${way}sample.conv.${kind}`,
    ],
    [
      new RegExp(`^(encoder|decoder)\\.mid_block\\.resnets\\.([01])\\.(\\w+)\\.${KIND}$`),
      (_, part = "", block = "", layer = "", kind = "") =>
        `${part}.mid.block_${Number(block) + 1}.${resnetLayer(layer)}.${kind}`,
    ],
    [
      new RegExp(`^(encoder|decoder)\\.conv_norm_out\\.${KIND}$`),
      (_, part = "", kind = "") => `${part}.norm_out.${kind}`,
    ],
    [new RegExp(`^(encoder|decoder)\\.conv_(in|out)\\.${KIND}$`), (name = "") => name],
    [new RegExp(`^(?:post_)?quant_conv\\.${KIND}$`), (name = "") => name],
  ];

  return ({ name, shape }) => {
    const [, place, layer = "", kind] = ATTENTION.exec(name) ?? [];
    if (place !== undefined) {
      const target = `${place.split(".")[0]}.mid.attn_1.${ldmAttentionNames[layer]}.${kind}`;
      return [{ name: target, shape: shape.length === 2 ? [...shape, 1, 1] : shape }];
    }
    for (const [pattern, target] of rules) {
      const match = pattern.exec(name);
      if (match) return [{ name: target(...match), shape }];
    }
    return undefined;
  };
}

function resnetLayer(layer: string): string {
  return layer === "conv_shortcut" ? "nin_shortcut" : layer;
}

const OLD_ATTENTION = /\.mid_block\.attentions\.0\.(query|key|value|proj_attn)\./;
const isDiffusers = (names: readonly string[]) => names.some((name) => name.startsWith("encoder.mid_block."));
const isOld = (names: readonly string[]) => names.some((name) => OLD_ATTENTION.test(name));

/** As diffusers names it, the same with the attention names of 2022, and as the original code of latent diffusion does. */
export const SD_VAE_WEIGHT_NAMES = {
  // The parameters of our SD-VAE have the names of current diffusers.
  "kl-diffusers": { fits: (names) => isDiffusers(names) && !isOld(names), rule: () => (spec) => [spec] },
  "kl-diffusers-old": { fits: (names) => isDiffusers(names) && isOld(names), rule: () => klToOldDiffusers },
  "kl-ldm": { fits: (names) => names.some((name) => name.startsWith("encoder.mid.block_1.")), rule: klToLdm },
} satisfies Record<string, WeightNames>;
