/** Golden cases: one `NAME.json` + `NAME.safetensors` each (test/golden/README.md says where the numbers come from). */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Tensor } from "@dcae/core";
import { openSafetensorsFile, type Weights } from "@dcae/core/checkpoint";
import { expect } from "vitest";

// biome-ignore lint/suspicious/noExplicitAny: settings of many kinds, as the reference wrote them
export type RawConfig = Record<string, any>;

export interface Tolerance {
  readonly atol: number;
  readonly rtol: number;
}

export interface GoldenCase {
  readonly name: string;
  readonly config: RawConfig;
  readonly tolerance: Tolerance & { readonly overrides?: Readonly<Record<string, Tolerance>> };
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The entries `w.<name>` as weights without their prefix. */
  readonly weights: Weights;
}

export function goldenPath(file: string): string {
  return fileURLToPath(new URL(`../golden/${file}`, import.meta.url));
}

export function goldenJson(file: string): RawConfig {
  return JSON.parse(readFileSync(goldenPath(file), "utf8"));
}

/** Names of the cases of a kind whose settings satisfy `accepts`. */
export function goldenNames(kind: string, accepts: (config: RawConfig) => boolean = () => true): string[] {
  const names = readdirSync(goldenPath("."))
    .filter((file) => file.endsWith(".json"))
    .filter((file) => {
      const info = goldenJson(file);
      return info.kind === kind && accepts(info.config ?? {});
    })
    .map((file) => file.slice(0, -".json".length))
    .sort();
  if (names.length === 0) throw new Error(`there is no golden case of the kind ${kind}`);
  return names;
}

export async function loadGolden(name: string): Promise<GoldenCase> {
  const { config, tolerance } = goldenJson(`${name}.json`);
  const file = await openSafetensorsFile(goldenPath(`${name}.safetensors`));
  const tensors = new Map<string, Tensor>();
  for (const entry of file.entries.values()) tensors.set(entry.name, await entry.read());
  await file.close();
  const prefix = "w.";
  const entries = [...tensors]
    .filter(([key]) => key.startsWith(prefix))
    .map(([key, tensor]) => [key.slice(prefix.length), tensor] as const);
  return { name, config: config ?? {}, tolerance, tensors, weights: weightsOf(`golden ${name}`, new Map(entries)) };
}

/** Tensors in memory as weights. */
export function weightsOf(source: string, tensors: ReadonlyMap<string, Tensor>): Weights {
  const entries = [...tensors].map(
    ([name, tensor]) => [name, { name, dtype: tensor.dtype, shape: tensor.shape, read: async () => tensor }] as const,
  );
  return { source, entries: new Map(entries), close: async () => {} };
}

/** The named tensor of a case. */
export function tensorOf({ name, tensors }: GoldenCase, key: string): Tensor {
  const tensor = tensors.get(key);
  if (tensor === undefined) throw new Error(`golden case ${name} has no tensor ${key}`);
  return tensor;
}

/** Values of the named tensor as plain numbers. */
export function valuesOf(golden: GoldenCase, key: string): number[] {
  return Array.from(tensorOf(golden, key).cast("float64").data, Number);
}

/** Every value within atol + rtol * |expected| of the case's tolerance for `key`. */
export function expectGolden(golden: GoldenCase, key: string, actual: ArrayLike<number>): void {
  const expected = valuesOf(golden, key);
  const { atol, rtol } = golden.tolerance.overrides?.[key] ?? golden.tolerance;
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  expected.forEach((value, i) => {
    const got = actual[i] as number;
    const error = got === value ? 0 : Math.abs(got - value) / (atol + rtol * Math.abs(value));
    worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  });
  expect(worst, `${golden.name} ${key}: largest error as a multiple of the tolerance`).toBeLessThanOrEqual(1);
}
