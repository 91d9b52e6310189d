/**
 * JSON that an earlier run wrote, read field by field: files are damaged, cut off and edited, and what has another type than
 * was promised must be found here, with its name, not somewhere in the middle of a computation.
 */

/** Gives the value as `T`, or throws a `FieldError`. Of objects only the fields that are asked for are kept. */
export type Field<T> = (value: unknown, name: string) => T;

/** Says which field holds something else than expected; readers add the file. */
export class FieldError extends Error {
  constructor(name: string, expected: string, value: unknown) {
    const shown = JSON.stringify(value) ?? "nothing";
    const got = shown.length > 60 ? `${shown.slice(0, 60)}...` : shown;
    super(`${name === "" ? "" : `${name}: `}expected ${expected}, got ${got}`);
    this.name = "FieldError";
  }
}

const below = (name: string, key: string | number) =>
  typeof key === "number" ? `${name}[${key}]` : name === "" ? key : `${name}.${key}`;

export const text: Field<string> = (value, name) => {
  if (typeof value === "string") return value;
  throw new FieldError(name, "text", value);
};

export const flag: Field<boolean> = (value, name) => {
  if (typeof value === "boolean") return value;
  throw new FieldError(name, "true or false", value);
};

export const finite: Field<number> = (value, name) => {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new FieldError(name, "a number", value);
};

/** A whole number of at least `least`. */
export function whole(least: number): Field<number> {
  return (value, name) => {
    if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
    throw new FieldError(name, `a whole number of at least ${least}`, value);
  };
}

/** One of a few texts. */
export function oneOf<const T extends string>(...values: readonly T[]): Field<T> {
  return (value, name) => {
    const found = values.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    throw new FieldError(name, values.map((candidate) => JSON.stringify(candidate)).join(" or "), value);
  };
}

export function nullable<T>(field: Field<T>): Field<T | null> {
  return (value, name) => (value === null ? null : field(value, name));
}

/** A list, of one length if `length` is given. */
export function list<T>(item: Field<T>, length?: number): Field<readonly T[]> {
  return (value, name) => {
    if (Array.isArray(value) && (length === undefined || value.length === length)) {
      return value.map((entry: unknown, i) => item(entry, below(name, i)));
    }
    throw new FieldError(name, length === undefined ? "a list" : `a list of ${length}`, value);
  };
}

function entriesOf(value: unknown, name: string): [string, unknown][] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return Object.entries(value);
  throw new FieldError(name, "an object", value);
}

/** An object with any keys, or with some of `keys`. */
export function record<T, K extends string = string>(
  item: Field<T>,
  keys?: readonly K[],
): Field<Readonly<Record<K, T>>> {
  return (value, name) => {
    const entries = entriesOf(value, name).map(([key, entry]) => {
      if (keys !== undefined && !(keys as readonly string[]).includes(key)) {
        throw new FieldError(name, `only ${keys.join(", ")}`, key);
      }
      return [key, item(entry, below(name, key))];
    });
    return Object.fromEntries(entries) as Record<K, T>;
  };
}

type RequiredKeys<T> = { [K in keyof T]-?: undefined extends T[K] ? never : K }[keyof T];

/** An object with these fields: `needed` must be there, `possible` may. */
export function object<T extends object>(
  needed: { readonly [K in RequiredKeys<T>]: Field<T[K]> },
  possible: { readonly [K in Exclude<keyof T, RequiredKeys<T>>]-?: Field<Exclude<T[K], undefined>> },
): Field<T> {
  return (value, name) => {
    const given = new Map(entriesOf(value, name));
    const result: Record<string, unknown> = {};
    for (const [key, field] of Object.entries<Field<unknown>>(needed)) {
      result[key] = field(given.get(key), below(name, key));
    }
    for (const [key, field] of Object.entries<Field<unknown>>(possible)) {
      if (given.has(key)) result[key] = field(given.get(key), below(name, key));
    }
    return result as T;
  };
}
