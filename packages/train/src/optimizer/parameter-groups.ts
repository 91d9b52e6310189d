/**
 * Which optimizer a parameter belongs to: one of the groups that take parameters by name, each with a method, rate, decay and clipping
 * of its own, or else the optimizer that has them.
 */
import { ConfigError } from "@dcae/core/graph";
import { namePatterns } from "../step/training-rule.js";
import type { MethodOptions, ParameterGroup } from "./optimizers.js";

/** An optimizer with the names of what it updates. */
export interface OptimizerPart {
  /** In front of the names of its state, as in "adamw.autoencoder" and "lion.autoencoder-embeddings". */
  readonly prefix: string;
  /** Behind the names of its metrics: "", or that of the group with a "_" before it. */
  readonly suffix: string;
  readonly options: MethodOptions;
  readonly names: ReadonlySet<string>;
}

type Grouped = MethodOptions & { readonly name: string; readonly groups?: readonly ParameterGroup[] | undefined };

/**
 * The optimizer with what no group takes, then its groups. Each name is in exactly one part.
 *
 * @param names of all parameters that train
 * @throws ConfigError for a parameter that two groups take, a pattern that matches none, and two groups of one name
 */
export function optimizerParts({ groups = [], ...rest }: Grouped, names: readonly string[]): OptimizerPart[] {
  const { name: owner, ...own } = rest;
  const takenBy = new Map<string, string>();
  const parts = groups.map(({ name, parameters, ...options }): OptimizerPart => {
    if (groups.filter((other) => other.name === name).length > 1) {
      throw new ConfigError(`optimizer "${owner}": two groups are named "${name}"`);
    }
    for (const pattern of parameters) {
      if (names.some(namePatterns([pattern]))) continue;
      throw new ConfigError(`optimizer "${owner}": "${pattern}" of group "${name}" matches nothing that trains`, {
        hint: `Parameters are named like "${names.slice(0, 3).join('", "')}"; "*" stands for anything.`,
      });
    }
    const taken = names.filter(namePatterns(parameters));
    for (const key of taken) {
      const other = takenBy.get(key);
      if (other !== undefined) {
        throw new ConfigError(`optimizer "${owner}": "${key}" belongs to two groups, "${other}" and "${name}"`, {
          hint: "Write the patterns so that each parameter matches one group at most.",
        });
      }
      takenBy.set(key, name);
    }
    // What is left is a method with its settings.
    const method = options as MethodOptions;
    return { prefix: `${method.kind}.${owner}-${name}`, suffix: `_${name}`, options: method, names: new Set(taken) };
  });
  const others = names.filter((name) => !takenBy.has(name));
  const method = own as MethodOptions;
  return [{ prefix: `${method.kind}.${owner}`, suffix: "", options: method, names: new Set(others) }, ...parts];
}
