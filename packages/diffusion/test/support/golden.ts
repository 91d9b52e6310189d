/** Golden cases: one `NAME.json` + `NAME.safetensors` each (test/golden/README.md says where the numbers come from). */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openSafetensorsFile, type Weights } from "@dcae/core/checkpoint";
import type { Tensor } from "@dcae/core/graph";

const folder = fileURLToPath(new URL("../golden/", import.meta.url));

export interface GoldenTolerance {
  readonly abs: number;
  readonly rel: number;
}

export interface GoldenInfo {
  readonly case: string;
  readonly kind: string;
  // biome-ignore lint/suspicious/noExplicitAny: constructor arguments of many kinds, as the reference wrote them
  readonly config: Record<string, any>;
  readonly tolerance: GoldenTolerance;
  readonly tensors: Readonly<Record<string, unknown>>;
  /** How many gradients of parameters the case holds. */
  readonly n_grads: number;
  readonly tolerance_by_tensor?: Readonly<Record<string, GoldenTolerance>>;
}

export interface GoldenCase extends Omit<GoldenInfo, "tensors"> {
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The entries `w.<name>` as weights without their prefix. */
  readonly weights: Weights;
  /** The named tensor; it must exist. */
  tensor(name: string): Tensor;
}

export function goldenPath(relative: string): string {
  return `${folder}${relative}`;
}

export function goldenInfo(name: string): GoldenInfo {
  return JSON.parse(readFileSync(goldenPath(`${name}.json`), "utf8"));
}

/** Names of all cases of a kind, sorted. */
export function goldenNames(kind: string): string[] {
  const names = readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .filter((name) => goldenInfo(name).kind === kind)
    .sort();
  if (names.length === 0) throw new Error(`there is no golden case of the kind ${kind}`);
  return names;
}

export async function loadGolden(name: string): Promise<GoldenCase> {
  const file = await openSafetensorsFile(goldenPath(`${name}.safetensors`));
  const tensors = new Map<string, Tensor>();
  for (const entry of file.entries.values()) tensors.set(entry.name, await entry.read());
  const entries = new Map(
    [...file.entries.values()]
      .filter((entry) => entry.name.startsWith("w."))
      .map((entry) => {
        const key = entry.name.slice("w.".length);
        return [key, { ...entry, name: key, read: async () => tensors.get(entry.name) as Tensor }] as const;
      }),
  );
  await file.close();
  const tensor = (key: string): Tensor => {
    const found = tensors.get(key);
    if (found === undefined) throw new Error(`golden case ${name} has no tensor ${key}`);
    return found;
  };
  return {
    ...goldenInfo(name),
    tensors,
    tensor,
    weights: { source: `golden ${name}`, entries, close: async () => {} },
  };
}
