/** Results as JSON files. JSON has no Infinity, which a PSNR can be, so it stands there as text. */
import { readFile } from "node:fs/promises";
import { DataError, errorMessage } from "@dcae/core";
import { writeFileAtomic } from "@dcae/core/checkpoint";
import type { EvaluationResult } from "./evaluation-result.js";

const WORDS: ReadonlyMap<number, string> = new Map([
  [Number.POSITIVE_INFINITY, "Infinity"],
  [Number.NEGATIVE_INFINITY, "-Infinity"],
]);

/** JSON text of a result (or any plain data with numbers). */
export function stringifyResult(value: unknown): string {
  return JSON.stringify(value, (_, item) => (typeof item === "number" ? (WORDS.get(item) ?? item) : item), 2);
}

/** @throws DataError when the file can't be written */
export async function writeResult(path: string, result: object): Promise<void> {
  await writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(`${stringifyResult(result)}\n`)));
}

/** The number that `stringifyResult` wrote as text. */
function revive(value: unknown): unknown {
  const found = [...WORDS].find(([, word]) => word === value);
  return found === undefined ? value : found[0];
}

/**
 * Reads a result back.
 *
 * @throws DataError when the file isn't a result of a known version
 */
export async function readResult(path: string): Promise<EvaluationResult> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new DataError(`${path}: can't be read as a result: ${errorMessage(error)}`, { cause: error });
  }
  const result = (parsed ?? {}) as EvaluationResult;
  const { formatVersion, kind, metrics, protocol, perPicture } = result as Partial<EvaluationResult>;
  if (formatVersion !== 1 || (kind !== "reconstruction" && kind !== "generation") || !metrics || !protocol) {
    throw new DataError(`${path}: isn't a result of an evaluation (format version 1)`);
  }
  const mapped = <T>(record: Readonly<Record<string, T>>, map: (item: T) => unknown) =>
    Object.fromEntries(Object.entries(record).map(([name, item]) => [name, map(item)]));
  const values = perPicture && mapped(perPicture.values, (list) => list.map(revive));
  return {
    ...result,
    metrics: mapped(metrics, (metric) => ({ ...metric, value: revive(metric.value) })),
    ...(perPicture === undefined ? {} : { perPicture: { ...perPicture, values } }),
  } as EvaluationResult;
}
