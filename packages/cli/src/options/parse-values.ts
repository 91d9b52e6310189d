/** Values of options from their text. Commander turns the error into a usage error that names the option. */
import { InvalidArgumentError } from "commander";

/** [height, width] in pixels. */
export type Size = readonly [height: number, width: number];

const MAX_SIDE = 65_536;

/** "512" is a square, "640x480" is width x height. */
export function parseSize(text: string): Size {
  const [, width, height = width] = /^(\d{1,5})(?:[xX](\d{1,5}))?$/.exec(text) ?? [];
  const size: Size = [Number(height), Number(width)];
  if (size.every((side) => side >= 1 && side <= MAX_SIDE)) return size;
  throw new InvalidArgumentError(`Give one side or WIDTHxHEIGHT, each from 1 to ${MAX_SIDE}.`);
}

export function parseCount(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("Give a positive integer.");
}

/** 0 or a positive integer. */
export function parseWhole(text: string): number {
  return text === "0" ? 0 : parseCount(text);
}

/** A list such as "1,4" of positive integers, each once. */
export function parseCounts(text: string): number[] {
  const counts = text.split(",").map((item) => Number(item));
  const isCount = (value: number) => value >= 1 && Number.isSafeInteger(value);
  if (/^[\d, ]+$/.test(text) && counts.every(isCount) && new Set(counts).size === counts.length) return counts;
  throw new InvalidArgumentError("Give positive integers, separated by commas, each once.");
}

/** Seeds have 64 bits, more than a JavaScript number holds exactly. */
export function parseSeed(text: string): bigint {
  if (/^\d{1,20}$/.test(text)) {
    const seed = BigInt(text);
    if (seed < 1n << 64n) return seed;
  }
  throw new InvalidArgumentError("Give an integer from 0 to 18446744073709551615.");
}

export function parsePositiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("Give a positive number.");
}

export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("Give a number.");
}

/** 0 or a positive number. */
export function parseNonNegative(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError("Give 0 or a positive number.");
}

/** "200,800" as two numbers in ascending order. */
export function parseInterval(text: string): readonly [low: number, high: number] {
  const [low, high, ...more] = text.split(",").map(parseNonNegative);
  if (low !== undefined && high !== undefined && more.length === 0 && low <= high) return [low, high];
  throw new InvalidArgumentError("Give two numbers in ascending order, as in 200,800.");
}

/** Entries of a list, without the spaces around them. */
export function parseNames(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => name !== "")) return names;
  throw new InvalidArgumentError("Give a list separated by commas.");
}

/** A positive number, or "measure". */
export function parseScale(text: string): number | "measure" {
  return text === "measure" ? text : parsePositiveNumber(text);
}

/** A list such as "encoder,decoder" with entries out of `allowed`, each once. */
export function parseListOf<Item extends string>(allowed: readonly Item[]): (text: string) => Item[] {
  return (text) => {
    const items = text.split(",").map((item) => item.trim());
    const isAllowed = (item: string): item is Item => (allowed as readonly string[]).includes(item);
    if (!items.every(isAllowed) || new Set(items).size !== items.length) {
      throw new InvalidArgumentError(`Give a list of ${allowed.join(", ")}, separated by commas.`);
    }
    return items;
  };
}

const MEMORY_UNITS: Readonly<Record<string, number>> = {
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Bytes from "4GB" (4e9) or "1.5 GiB" (1.5 * 2^30). A bare number could mean anything, so that the unit has to be there. */
export function parseMemory(text: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?([kmgt]i?b)$/i.exec(text.trim()) ?? [];
  const bytes = Number(number) * (MEMORY_UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (bytes > 0) return Math.round(bytes);
  throw new InvalidArgumentError("Give a size with its unit, as in 4GB, 500MB or 1.5GiB.");
}
