/** Results as JSON files. JSON has no Infinity, which a PSNR can be, so it stands there as text. */
import { DataError } from "@dcae/core";
import { readJson, writeFileAtomic } from "@dcae/core/checkpoint";
import { FieldError } from "../files/json-fields.js";
import type { EvaluationResult } from "./evaluation-result.js";
import { resultFields } from "./result-fields.js";

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

/** A result has some kilobytes, and a line or two per picture. */
const MAX_BYTES = 2 ** 28;

/**
 * Reads a result back.
 *
 * @throws DataError when the file can't be read or isn't a whole result of a known version, naming the field
 */
export async function readResult(path: string): Promise<EvaluationResult> {
  const parsed = await readJson(path, MAX_BYTES);
  if (typeof parsed !== "object" || parsed === null || !("formatVersion" in parsed) || parsed.formatVersion !== 1) {
    throw new DataError(`${path}: isn't a result of an evaluation (format version 1)`);
  }
  try {
    return { formatVersion: 1, ...resultFields(parsed, "") };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new DataError(`${path}: isn't a whole result: ${error.message}`, {
      hint: "The file was damaged or changed; evaluate again.",
      cause: error,
    });
  }
}
