/**
 * The families of autoencoders: one row each. A new one is a folder beside these with its row, and a line here.
 */
import { ASYMMETRIC_KL } from "./asymmetric-kl/asymmetric-kl-family.js";
import { DC_AE } from "./dc-ae/dc-ae-family.js";
import type { AutoencoderConfig, AutoencoderFamily, ModelPartName } from "./family.js";
import type { LatentForm } from "./latent.js";
import { SD_VAE } from "./sd-vae/sd-vae-family.js";
import { TINY } from "./tiny/tiny-family.js";

/** The families of autoencoders, a row each: all that differs between them. */
export const FAMILIES = { "dc-ae": DC_AE, "sd-vae": SD_VAE, "asymmetric-kl": ASYMMETRIC_KL, tiny: TINY } as const;

/** Name of a family in descriptions and files. */
export type Kind = keyof typeof FAMILIES;
type Row<K extends Kind> = (typeof FAMILIES)[K];

/** The configuration of a family. */
export type ConfigOf<K extends Kind> = Parameters<Row<K>["decode"]>[2];
/** What a family's `encode` gives. */
export type LatentOf<K extends Kind> = Row<K>["latent"] extends LatentForm<infer Latent> ? Latent : never;
/** The formats that files of weights come in. */
export type WeightFormat = { [K in Kind]: keyof Row<K>["weightNames"] }[Kind];

/** A model's architecture. */
export type ModelConfig<K extends Kind = Kind> = {
  [Each in K]: { readonly kind: Each; readonly config: ConfigOf<Each> };
}[K];

/** The kinds of autoencoders: the keys of `FAMILIES`. */
export const KINDS = Object.keys(FAMILIES) as Kind[];

/** The row of a model's family. Give its functions the config of that model. */
export function familyOf<K extends Kind>({
  kind,
}: {
  readonly kind: K;
}): AutoencoderFamily<AutoencoderConfig, LatentOf<K>> {
  return FAMILIES[kind] as unknown as AutoencoderFamily<AutoencoderConfig, LatentOf<K>>;
}

/** Pixels per latent position along each axis. */
export function compressionOf(model: ModelConfig): number {
  return familyOf(model).compression(model.config);
}

/** Whether a model has that half: some checkpoints hold an encoder or a decoder alone. */
export function hasPart(model: ModelConfig, part: ModelPartName): boolean {
  return familyOf(model).hasPart?.(model.config, part) ?? true;
}

/** "a DC-AE", "an SD-VAE": for messages. */
export function nameOfFamily(kind: Kind): string {
  const { label } = FAMILIES[kind];
  return `${/^(?:[AEIOUaeiou]|[FHLMNRSX][^a-z])/.test(label) ? "an" : "a"} ${label}`;
}

/** The family that a format of weights belongs to. */
export function familyOfFormat(format: WeightFormat): Kind {
  return KINDS.find((kind) => format in FAMILIES[kind].weightNames) as Kind;
}

/** A published model. `getPreset` looks them up by any of their names. */
export type Preset = Row<Kind>["presets"][number];

/** The published models of all families. */
export const PRESETS: readonly Preset[] = KINDS.flatMap((kind): readonly Preset[] => FAMILIES[kind].presets);
