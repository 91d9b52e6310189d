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
