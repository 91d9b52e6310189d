/**
 * The denoiser's and the autoencoder's arrays in a file that may hold both, under whatever prefix (diffusion.md section 14).
 *
 * Published files have `diffusion_model.` and `autoencoder.`. Training checkpoints have several copies of the network; the
 * averaged one (EMA) is the one to use, as in the published evaluations.
 */
import { CheckpointError } from "@dcae/core";
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";

/** The parameter that every denoiser begins with, by architecture. */
const MARKERS = ["x_embedder.proj.weight", "patch_embed.proj.weight"];

/** Entries below `prefix`, under names without it. Closing it closes `weights`. */
export function weightsBelow(weights: Weights, prefix: string): Weights {
  const entries = [...weights.entries.values()]
    .filter(({ name }) => name.startsWith(prefix))
    .map((entry): [string, WeightEntry] => [
      entry.name.slice(prefix.length),
      { ...entry, name: entry.name.slice(prefix.length) },
    ]);
  return { source: weights.source, entries: new Map(entries), close: () => weights.close() };
}

/** Prefixes under which the file holds a denoiser, the one to use first. */
export function denoiserPrefixes(names: Iterable<string>): string[] {
  const prefixes = [...names].flatMap((name) =>
    MARKERS.filter((marker) => name === marker || name.endsWith(`.${marker}`)).map((marker) =>
      name.slice(0, name.length - marker.length),
    ),
  );
  const rank = (prefix: string) =>
    /(^|[._])ema[._]/.test(prefix) ? 0 : prefix === "diffusion_model." ? 1 : prefix.length + 2;
  return prefixes.sort((a, b) => rank(a) - rank(b));
}

/**
 * The denoiser's arrays under official names.
 *
 * @throws CheckpointError when there is no denoiser in the file
 */
export function denoiserWeights(weights: Weights): Weights {
  const [prefix] = denoiserPrefixes(weights.entries.keys());
  if (prefix === undefined) {
    throw new CheckpointError(`${weights.source}: holds no UViT, DiT or SANA-cls`, {
      hint: `Expected a tensor ${MARKERS.join(" or ")}, with or without a prefix.`,
    });
  }
  return weightsBelow(weights, prefix);
}
