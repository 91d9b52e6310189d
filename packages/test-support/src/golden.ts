/**
 * Golden cases: a folder with one `NAME.json` + `NAME.safetensors` each (the README.md in each package's test/golden says where the
 * numbers come from).
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openSafetensorsFile, type Weights } from "@dcae/core/checkpoint";
import type { Tensor } from "@dcae/core/graph";
import { expectWithin, type Numbers, type Tolerance } from "./compare.js";
import { memoryWeights } from "./weights.js";

// biome-ignore lint/suspicious/noExplicitAny: values of many kinds, as the reference wrote them
export type RawConfig = Record<string, any>;

/** What the JSON of every case says; a package adds what its own say. */
export interface GoldenInfo {
  readonly kind: string;
  /** Empty where the case has none. */
  readonly config: RawConfig;
}

/** The content of a case. Its functions need no `this`. */
export interface GoldenTensors {
  readonly name: string;
  /** As the case states it, also for single tensors by their names (or the beginning of them and "*"); exact where it states none. */
  readonly tolerance: Tolerance & { readonly overrides: Readonly<Record<string, Tolerance>> };
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The tensors `w.<name>` as weights without that prefix. */
  readonly weights: Weights;
  /** The named tensor; it must exist. */
  readonly tensor: (name: string) => Tensor;
  /** Its elements as plain numbers. */
  readonly values: (name: string) => number[];
  /** The tensors below `prefix`, by their names without it. */
  readonly below: (prefix: string) => Map<string, Tensor>;
}

export type GoldenCase<Info extends GoldenInfo = GoldenInfo> = Omit<Info, keyof GoldenTensors> & GoldenTensors;

export interface GoldenFolder<Info extends GoldenInfo> {
  /** Of a file in the folder. */
  readonly path: (file: string) => string;
  /** `NAME.json`, of a case or not. */
  readonly json: (name: string) => RawConfig;
  /** What the JSON of a case says, without its tensors. */
  readonly info: (name: string) => Info;
  /** Names of the cases that are accepted, sorted; there must be one. */
  readonly names: (accepts: (info: Info) => boolean) => string[];
  readonly load: (name: string) => Promise<GoldenCase<Info>>;
}

/** @param url of the folder, with a slash at its end */
export function goldenFolder<Info extends GoldenInfo = GoldenInfo>(url: URL): GoldenFolder<Info> {
  const path = (file: string): string => `${fileURLToPath(url)}${file}`;
  const json = (name: string): RawConfig => JSON.parse(readFileSync(path(`${name}.json`), "utf8"));
  const info = (name: string): Info => ({ config: {}, ...json(name) }) as unknown as Info;
  const names = (accepts: (info: Info) => boolean): string[] => {
    const files = readdirSync(path("")).filter((file) => file.endsWith(".json"));
    const all = files.map((file) => file.slice(0, -".json".length)).filter((name) => accepts(info(name)));
    if (all.length === 0) throw new Error(`${path("")} has no golden case of the wanted kind`);
    return all.sort();
  };
  const load = async (name: string): Promise<GoldenCase<Info>> => {
    const file = await openSafetensorsFile(path(`${name}.safetensors`));
    const tensors = new Map<string, Tensor>();
    for (const entry of file.entries.values()) tensors.set(entry.name, await entry.read());
    await file.close();
    const tensor = (key: string): Tensor => {
      const found = tensors.get(key);
      if (found === undefined) throw new Error(`golden case ${name} has no tensor ${key}`);
      return found;
    };
    const below = (prefix: string): Map<string, Tensor> => {
      const entries = [...tensors].filter(([key]) => key.startsWith(prefix));
      return new Map(entries.map(([key, value]) => [key.slice(prefix.length), value]));
    };
    return {
      ...info(name),
      name,
      tolerance: statedTolerance(json(name)),
      tensors,
      weights: memoryWeights(below("w."), `golden ${name}`),
      tensor,
      values: (key: string) => Array.from(tensor(key).cast("float64").data, Number),
      below,
    };
  };
  return { path, json, info, names, load };
}

type Stated = Partial<Tolerance & { readonly abs: number; readonly rel: number }>;

/** The references write "abs" and "rel" or "atol" and "rtol", and exceptions inside of the tolerance or beside it. */
function statedTolerance({ tolerance = {}, tolerance_by_tensor }: RawConfig): GoldenTensors["tolerance"] {
  const plain = ({ abs = 0, rel = 0, atol = abs, rtol = rel }: Stated): Tolerance => ({ atol, rtol });
  // Some have a note among them, which is text.
  const exceptions = Object.entries<Stated | string>(tolerance_by_tensor ?? tolerance.overrides ?? {}).flatMap(
    ([key, value]) => (typeof value === "string" ? [] : [[key, plain(value)] as const]),
  );
  return { ...plain(tolerance), overrides: Object.fromEntries(exceptions) };
}

/** The tolerance that a case states for one of its tensors. */
function toleranceOf({ tolerance }: Pick<GoldenTensors, "tolerance">, name: string): Tolerance {
  const [, exception] =
    Object.entries(tolerance.overrides).find(([key]) =>
      key.endsWith("*") ? name.startsWith(key.slice(0, -1)) : name === key,
    ) ?? [];
  return exception ?? tolerance;
}

/** Every element within the tolerance that the case states for it. */
export function expectGolden(golden: GoldenTensors, name: string, actual: Numbers): void {
  expectWithin(actual, golden.tensor(name), toleranceOf(golden, name), `${golden.name} ${name}`);
}
