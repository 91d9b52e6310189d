/** Options as they are on the command line: one that isn't known is an error, with the name that may have been meant. */
import { closestName } from "./closest-name.js";
import { ConfigError } from "./errors.js";

/** The names of all options. The compiler asks for each of them, and refuses others. */
export type OptionNames<T> = { readonly [K in keyof Required<T>]: true };

/**
 * Refuses options that aren't known; those that are undefined say nothing.
 *
 * @param what was called, for the message
 * @param reasons why options that others have aren't here, by their names
 * @throws ConfigError
 */
export function checkOptions<T extends object>(
  what: string,
  options: T,
  names: OptionNames<T>,
  reasons: Readonly<Record<string, string>> = {},
): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const got = Array.isArray(options) ? "an array" : options === null ? "null" : `a ${typeof options}`;
    throw new ConfigError(`${what}: options are an object, got ${got}`);
  }
  const known = Object.keys(names);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || Object.hasOwn(names, name)) continue;
    if (Object.hasOwn(reasons, name)) throw new ConfigError(`${what}: the option ${name} ${reasons[name]}`);
    const guess = closestName(name, known) ?? known.find((other) => other.slice(0, 3) === name.slice(0, 3));
    throw new ConfigError(
      `${what}: unknown option ${JSON.stringify(name)}${guess === undefined ? "" : `; did you mean "${guess}"?`}`,
      { hint: `Options: ${known.join(", ")}.` },
    );
  }
}
