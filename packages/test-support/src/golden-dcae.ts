/** The golden cases of blocks and autoencoders, in packages/core/test/golden/dcae. */
import { existsSync } from "node:fs";
import type { Tensor } from "@dcae/core/graph";
import { type GoldenCase, type GoldenInfo, goldenFolder, type RawConfig } from "./golden.js";

export interface GoldenCall {
  readonly method: string;
  readonly in: readonly string[];
  readonly out: string;
  readonly args?: Readonly<Record<string, number>>;
}

export interface DcAeInfo extends GoldenInfo {
  readonly group: string;
  readonly head_dim?: number;
  readonly mode?: "eval" | "train";
  readonly calls: readonly GoldenCall[];
  /** What was differentiated, where the case holds gradients. */
  readonly grad?: { readonly output: string; readonly target: string; readonly wrt: readonly [string, ...string[]] };
  readonly spatial_compression_ratio?: number;
  readonly diffusers_config?: RawConfig;
  readonly weights_from?: string;
  readonly args?: Readonly<Record<string, number>>;
}

export type DcAeCase = GoldenCase<DcAeInfo>;

export const dcAeCases = goldenFolder<DcAeInfo>(new URL("../../core/test/golden/dcae/", import.meta.url));

/** Names of the cases of a group, or of one kind of it. */
export function dcAeNames(group: string, kind?: string): string[] {
  return dcAeCases.names((info) => info.group === group && (kind === undefined || info.kind === kind));
}

/** Cases whose model is there as a snapshot of the hub too, in the folder NAME_diffusers. */
export function dcAeSnapshots(): string[] {
  const names = dcAeNames("autoencoder").filter((name) => existsSync(dcAeCases.path(`${name}_diffusers`)));
  if (names.length === 0) throw new Error("no golden autoencoder has a snapshot");
  return names;
}

/** The official configuration of a case, complete. */
export function officialConfigOf({ config, head_dim = 32 }: Pick<DcAeInfo, "config" | "head_dim">): RawConfig {
  return { ...config, head_dim };
}

/** The first call of a method, with the tensors that it takes and gives. */
export function callOf(golden: DcAeCase, method: string): { readonly x: Tensor; readonly y: Tensor } {
  const call = golden.calls.find((candidate) => candidate.method === method);
  if (call === undefined) throw new Error(`golden case ${golden.name} doesn't call ${method}`);
  return { x: golden.tensor(call.in[0] as string), y: golden.tensor(call.out) };
}
