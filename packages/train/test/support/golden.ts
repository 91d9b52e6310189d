/** Golden cases of training: one NAME.json + NAME.safetensors each. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openSafetensorsFile } from "@dcae/core/checkpoint";
import type { Tensor } from "@dcae/core/graph";

/** `training`: of training.md; `diffusion`: those of diffusion.md that are about optimizers. */
export type GoldenSet = "training" | "diffusion";

const pathOf = (set: GoldenSet, file: string) => fileURLToPath(new URL(`../golden/${set}/${file}`, import.meta.url));

export interface Tolerance {
  readonly atol: number;
  readonly rtol: number;
}

// biome-ignore lint/suspicious/noExplicitAny: values of many kinds, as the reference wrote them
export type RawConfig = Record<string, any>;

export interface TrainingCase {
  readonly config: RawConfig;
  readonly tolerance: Tolerance & { readonly overrides?: Readonly<Record<string, Tolerance>> };
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The named tensor, which must exist. */
  tensor(name: string): Tensor;
  /** The tensors below `prefix`, without it. */
  below(prefix: string): Map<string, Tensor>;
}

export function goldenJson(name: string, set: GoldenSet = "training"): RawConfig {
  return JSON.parse(readFileSync(pathOf(set, `${name}.json`), "utf8"));
}

/** Names of the cases of a kind. */
export function goldenNames(kind: string, set: GoldenSet = "training"): string[] {
  const names = readdirSync(pathOf(set, "."))
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .filter((name) => goldenJson(name, set).kind === kind)
    .sort();
  if (names.length === 0) throw new Error(`there is no golden case of the kind ${kind}`);
  return names;
}

export async function loadTrainingCase(name: string, set: GoldenSet = "training"): Promise<TrainingCase> {
  const { config, tolerance: stated } = goldenJson(name, set);
  const tolerance = set === "training" ? stated : { atol: stated.abs, rtol: stated.rel };
  const file = await openSafetensorsFile(pathOf(set, `${name}.safetensors`));
  const tensors = new Map<string, Tensor>();
  for (const entry of file.entries.values()) tensors.set(entry.name, await entry.read());
  await file.close();
  return {
    config,
    tolerance,
    tensors,
    tensor(key) {
      const tensor = tensors.get(key);
      if (tensor === undefined) throw new Error(`golden case ${name} has no tensor ${key}`);
      return tensor;
    },
    below(prefix) {
      const entries = [...tensors].filter(([key]) => key.startsWith(prefix));
      return new Map(entries.map(([key, tensor]) => [key.slice(prefix.length), tensor]));
    },
  };
}
