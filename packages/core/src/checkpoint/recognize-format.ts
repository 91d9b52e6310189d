/**
 * Which format a checkpoint is in, by its names alone (dcae.md sections 6 and 10).
 */
import { CheckpointError } from "../errors.js";
import { quoted } from "./json-text.js";
import type { Weights } from "./weights.js";

/**
 * - `official`: DC-AE as its authors publish it
 * - `diffusers`: DC-AE as `AutoencoderDC` names it
 * - `kl-diffusers`: SD-VAE as `AutoencoderKL` names it
 * - `kl-diffusers-old`: the same with the attention names of 2022
 * - `kl-ldm`: SD-VAE as the original code of latent diffusion names it
 */
export type WeightFormat = "official" | "diffusers" | "kl-diffusers" | "kl-diffusers-old" | "kl-ldm";

const OLD_ATTENTION = /\.mid_block\.attentions\.0\.(query|key|value|proj_attn)\./;

/**
 * @param names names of all arrays
 * @param source for messages: the file
 * @throws CheckpointError when the names are those of no format, or of several at once
 */
export function recognizeFormat(names: Iterable<string>, source = "checkpoint"): WeightFormat {
  const all = [...names];
  const some = (prefix: string) => all.some((name) => name.startsWith(prefix));
  const formats: WeightFormat[] = [];
  if (some("encoder.project_in.")) formats.push("official");
  if (some("encoder.down_blocks.") && some("encoder.conv_in.") && all.includes("decoder.norm_out.weight")) {
    formats.push("diffusers");
  }
  if (some("encoder.mid_block.")) {
    formats.push(all.some((name) => OLD_ATTENTION.test(name)) ? "kl-diffusers-old" : "kl-diffusers");
  }
  if (some("encoder.mid.block_1.")) formats.push("kl-ldm");

  const [format, second] = formats;
  if (format !== undefined && second === undefined) return format;
  if (format !== undefined) {
    throw new CheckpointError(`${source}: has tensors of several formats at once: ${formats.join(", ")}`);
  }
  throw unknownFormat(all, source);
}

function unknownFormat(names: readonly string[], source: string): CheckpointError {
  if (names.length === 0) return new CheckpointError(`${source}: holds no tensors`);
  const message = `${source}: not an autoencoder checkpoint of a known format; its first tensor is ${quoted(names[0] ?? "")}`;
  const prefix = wrapperPrefix(names);
  const hint =
    prefix === undefined
      ? "Known are DC-AE (official and diffusers) and SD-VAE (diffusers and LDM) files."
      : `The autoencoder's tensors may be those that begin with ${quoted(prefix)}: save them in a file of their own, without that prefix.`;
  return new CheckpointError(message, { hint });
}

/** What stands before the names of an autoencoder, as in "autoencoder." or "first_stage_model."; undefined for nothing. */
function wrapperPrefix(names: readonly string[]): string | undefined {
  for (const name of names) {
    const at = name.search(/(?<=\.)(encoder|decoder)\.\w/);
    if (at > 0) return name.slice(0, at);
  }
  return undefined;
}

/**
 * Weights without the prefix that a wrapper put before all names, as training code does that saves the module around the
 * autoencoder. Where some names lack it there is more in the file than an autoencoder, and the weights are given back as they are.
 */
export function unwrapWeights(weights: Weights): Weights {
  const names = [...weights.entries.keys()];
  const prefix = wrapperPrefix(names);
  if (prefix === undefined || !names.every((name) => name.startsWith(prefix))) return weights;
  const entries = [...weights.entries].map(([name, entry]) => {
    const inner = name.slice(prefix.length);
    return [inner, { ...entry, name: inner }] as const;
  });
  return { source: weights.source, entries: new Map(entries), close: () => weights.close() };
}
