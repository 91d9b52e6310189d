/**
 * Reads the fields of a configuration that comes from a stranger: every key is known, of its type, and used.
 */
import { ConfigError } from "@dcae/core";

/** One field after the other; `done` refuses what was not asked for. */
export interface ConfigReader {
  /** An integer of at least `low`. */
  integer(key: string, fallback: number | undefined, low?: number): number;
  /** A finite number in [low, high]. */
  number(key: string, fallback: number | undefined, low: number, high?: number): number;
  boolean(key: string, fallback: boolean): boolean;
  choice<T extends string>(key: string, options: readonly T[], fallback: T): T;
  /** An integer of at least 1, or null (the default). */
  optionalInteger(key: string): number | null;
  /** Whether the key is there. */
  has(key: string): boolean;
  /** @throws ConfigError that names the first unknown key */
  done(): void;
}

/** @param source for messages, as in "config.json" */
export function readConfig(json: unknown, source: string): ConfigReader {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new ConfigError(`${source}: must be an object, got ${show(json)}`);
  }
  const fields = json as Readonly<Record<string, unknown>>;
  const asked = new Set<string>();
  const take = (key: string): unknown => {
    asked.add(key);
    return Object.hasOwn(fields, key) ? fields[key] : undefined;
  };
  const refuse = (key: string, value: unknown, expected: string): never => {
    throw new ConfigError(`${source}: ${key} is ${show(value)} but must be ${expected}`);
  };
  const numeric = (key: string, fallback: number | undefined, expected: string, fits: (value: number) => boolean) => {
    const value = take(key) ?? fallback;
    if (typeof value !== "number" || !fits(value)) return refuse(key, value, expected);
    return value;
  };
  return {
    integer: (key, fallback, low = 1) =>
      numeric(key, fallback, `an integer of at least ${low}`, (value) => Number.isSafeInteger(value) && value >= low),
    number: (key, fallback, low, high = Number.MAX_VALUE) =>
      numeric(key, fallback, `a number from ${low} to ${high}`, (value) => value >= low && value <= high),
    boolean(key, fallback) {
      const value = take(key) ?? fallback;
      return typeof value === "boolean" ? value : refuse(key, value, "true or false");
    },
    choice(key, options, fallback) {
      const value = take(key) ?? fallback;
      return options.find((option) => option === value) ?? refuse(key, value, `one of ${options.join(", ")}`);
    },
    optionalInteger(key) {
      const value = take(key) ?? null;
      if (value === null) return null;
      return Number.isSafeInteger(value) && (value as number) >= 1
        ? (value as number)
        : refuse(key, value, "a positive integer or null");
    },
    has: (key) => fields[key] !== undefined && fields[key] !== null,
    done() {
      const unknown = Object.keys(fields).find((key) => !asked.has(key));
      if (unknown !== undefined) {
        throw new ConfigError(`${source}: ${show(unknown)} isn't a known option`, {
          hint: `Known options: ${[...asked].join(", ")}.`,
        });
      }
    },
  };
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
