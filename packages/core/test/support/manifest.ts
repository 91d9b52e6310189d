/** The reference's list of every tensor of every published model, in both formats (test/golden/manifest.json). */
import { readFileSync } from "node:fs";

type Shape = readonly number[];

export interface ManifestArchitecture {
  readonly id: string;
  readonly official_config: Record<string, unknown>;
  readonly diffusers_config: Record<string, unknown>;
  readonly params: { readonly encoder: number; readonly decoder: number; readonly total: number };
  readonly tensor_count_official: number;
  readonly tensor_count_diffusers: number;
  /** Official name, shape, and the diffusers name (same shape) or names with shapes. */
  readonly tensors: readonly (readonly [string, Shape, string | readonly (readonly [string, Shape])[]])[];
}

export interface Manifest {
  readonly presets: Readonly<Record<string, { readonly architecture: string; readonly scaling_factor: number | null }>>;
  readonly architectures: readonly ManifestArchitecture[];
  readonly sd_vae: {
    readonly config: Record<string, unknown>;
    readonly params: Readonly<Record<string, number>>;
    readonly tensors: readonly (readonly [string, Shape])[];
  };
}

export const manifest: Manifest = JSON.parse(readFileSync(new URL("../golden/manifest.json", import.meta.url), "utf8"));

/** The architecture that a preset names. */
export function architectureOf(preset: string): ManifestArchitecture {
  const id = manifest.presets[preset]?.architecture;
  const architecture = manifest.architectures.find((candidate) => candidate.id === id);
  if (architecture === undefined) throw new Error(`the manifest has no preset ${preset}`);
  return architecture;
}

/** Names with shapes of an architecture's file in one of the formats, as in `name [1, 2]`. */
export function manifestTensors(architecture: ManifestArchitecture, format: "official" | "diffusers"): string[] {
  return architecture.tensors
    .flatMap(([name, shape, target]) => {
      if (format === "official") return [tensorLine(name, shape)];
      return typeof target === "string"
        ? [tensorLine(target, shape)]
        : target.map(([piece, pieceShape]) => tensorLine(piece, pieceShape));
    })
    .sort();
}

export function tensorLine(name: string, shape: Shape): string {
  return `${name} [${shape.join(", ")}]`;
}
