/**
 * What the config.json files of all diffusers models have in common.
 */

import type { ActName } from "../blocks/block-spec.js";
import { ConfigError } from "../errors.js";
import { quote } from "./config-issues.js";

/** Diffusers' "gelu" is the exact form. */
const actNames: Readonly<Record<string, ActName>> = {
  silu: "silu",
  swish: "silu",
  mish: "mish",
  gelu: "gelu_erf",
  relu: "relu",
};

/**
 * The activation that a diffusers name stands for.
 *
 * @throws ConfigError when diffusers has no such activation
 */
export function parseDiffusersAct(name: string, field: string, source: string): ActName {
  const lowered = name.toLowerCase();
  const act = Object.hasOwn(actNames, lowered) ? actNames[lowered] : undefined;
  if (act !== undefined) return act;
  throw new ConfigError(
    `${source}: ${field} is ${quote(name)} but must be one of ${Object.keys(actNames).join(", ")} (see diffusers' activations)`,
  );
}

/** The name in diffusers of an activation, or undefined when it has none. */
export function diffusersActName(act: ActName | null): string | undefined {
  return Object.keys(actNames).find((name) => actNames[name] === act);
}

/**
 * The keys that describe the model: those without a leading underscore.
 *
 * @throws ConfigError when it isn't an object, or was written for another class
 */
export function modelKeys(json: unknown, className: string, source: string): Record<string, unknown> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new ConfigError(`${source}: is ${quote(json)} but must be an object`);
  }
  const record = json as Record<string, unknown>;
  const found = record._class_name;
  if (found !== undefined && found !== className) {
    throw new ConfigError(`${source}: _class_name is ${quote(found)} but must be "${className}"`);
  }
  return Object.fromEntries(Object.entries(record).filter(([key]) => !key.startsWith("_")));
}
