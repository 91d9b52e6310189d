/** Golden cases: one `NAME.json` + `NAME.safetensors` each (test/golden/README.md says where the numbers come from). */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import type { Weights } from "../../src/checkpoint/weights.js";
import type { Tensor } from "../../src/graph/tensor.js";

const folder = fileURLToPath(new URL("../golden/dcae/", import.meta.url));

export interface GoldenCall {
  readonly method: string;
  readonly in: readonly string[];
  readonly out: string;
  readonly args?: Readonly<Record<string, number>>;
}

// biome-ignore lint/suspicious/noExplicitAny: constructor arguments of many kinds, as the reference wrote them
export type RawConfig = Record<string, any>;

export interface GoldenCase {
  readonly name: string;
  readonly group: string;
  readonly kind: string;
  readonly config: RawConfig;
  readonly head_dim?: number;
  readonly mode?: "eval" | "train";
  readonly calls: readonly GoldenCall[];
  /** What was differentiated, where the case holds gradients. */
  readonly grad?: { readonly output: string; readonly target: string; readonly wrt: readonly [string, ...string[]] };
  readonly spatial_compression_ratio?: number;
  readonly diffusers_config?: RawConfig;
  readonly weights_from?: string;
  readonly args?: Readonly<Record<string, number>>;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The entries `w.<name>` as weights without their prefix. */
  readonly weights: Weights;
}

export function goldenPath(relative: string): string {
  return `${folder}${relative}`;
}

export function goldenNames(): string[] {
  const json = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return json.map((file) => file.slice(0, -".json".length)).sort();
}

/** Names of the cases of a group, or of one kind of it. */
export function goldenNamesOf(group: string, kind?: string): string[] {
  const names = goldenNames().filter((name) => {
    const info = goldenInfo(name);
    return info.group === group && (kind === undefined || info.kind === kind);
  });
  if (names.length === 0) throw new Error(`there is no golden case of the group ${group} and the kind ${kind}`);
  return names;
}

/** Cases whose model is there as a snapshot of the hub too, in the folder NAME_diffusers. */
export function goldenSnapshots(): string[] {
  const names = goldenNamesOf("autoencoder").filter((name) => existsSync(goldenPath(`${name}_diffusers`)));
  if (names.length === 0) throw new Error("no golden autoencoder has a snapshot");
  return names;
}

/** The official configuration of a case, complete. */
export function officialConfigOf({ config, head_dim = 32 }: Pick<GoldenCase, "config" | "head_dim">): RawConfig {
  return { ...config, head_dim };
}

/** The first call of a method, with the tensors that it takes and gives. */
export function callOf(golden: GoldenCase, method: string): { readonly x: Tensor; readonly y: Tensor } {
  const call = golden.calls.find((candidate) => candidate.method === method);
  if (call === undefined) throw new Error(`golden case ${golden.name} doesn't call ${method}`);
  return { x: tensorOf(golden, call.in[0] as string), y: tensorOf(golden, call.out) };
}

/** The description of a case, without its tensors. */
export function goldenInfo(name: string): Omit<GoldenCase, "tensors" | "weights"> {
  return JSON.parse(readFileSync(goldenPath(`${name}.json`), "utf8"));
}

export async function loadGolden(name: string): Promise<GoldenCase> {
  const file = await openSafetensorsFile(goldenPath(`${name}.safetensors`));
  const tensors = new Map<string, Tensor>();
  for (const entry of file.entries.values()) tensors.set(entry.name, await entry.read());
  const entries = new Map(
    [...file.entries.values()]
      .filter((entry) => entry.name.startsWith("w."))
      .map((entry) => {
        const name = entry.name.slice("w.".length);
        return [name, { ...entry, name, read: async () => tensors.get(entry.name) as Tensor }] as const;
      }),
  );
  await file.close();
  return { ...goldenInfo(name), tensors, weights: { source: `golden ${name}`, entries, close: async () => {} } };
}

/** The named tensor of a case. */
export function tensorOf(golden: GoldenCase, name: string): Tensor {
  const tensor = golden.tensors.get(name);
  if (tensor === undefined) throw new Error(`golden case ${golden.name} has no tensor ${name}`);
  return tensor;
}
