/** `key=value` settings on top of a training, as a command line gives them: `phases.0.steps=500`, `data.flip=true`. */
import { ConfigError, errorMessage } from "@dcae/core/graph";
import { parseTrainingConfig, type TrainingConfig } from "./schema.js";

type Node = Record<string, unknown>;

/** JSON where it is some, otherwise the text itself. */
function parseValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** A phase may be named instead of numbered. */
function keyIn(node: unknown, key: string): string {
  if (!Array.isArray(node)) return key;
  const named = node.findIndex((item) => typeof item === "object" && item !== null && (item as Node).name === key);
  return named === -1 ? key : String(named);
}

/**
 * The training with settings replaced, checked again.
 *
 * @param settings each `path=value`; `phases.*.steps=10` sets all phases
 * @throws ConfigError when a setting has no "=", or what it asks for isn't a training
 */
export function overrideConfig(config: TrainingConfig, settings: readonly string[]): TrainingConfig {
  const changed = applySettings(config, settings);
  try {
    return parseTrainingConfig(changed, "settings");
  } catch (error) {
    throw new ConfigError(errorMessage(error), { cause: error });
  }
}

/** A copy of any configuration with settings replaced, not checked. @throws ConfigError for paths that aren't there */
export function applySettings(config: object, settings: readonly string[]): unknown {
  const changed = structuredClone(config) as Node;
  for (const setting of settings) {
    const equals = setting.indexOf("=");
    if (equals < 1) throw new ConfigError(`"${setting}": expected key=value, as in phases.0.steps=500`);
    assign(changed, setting.slice(0, equals).split("."), parseValue(setting.slice(equals + 1)), setting);
  }
  return changed;
}

/** Whether `node` has a value of that name that settings may reach: of a list its items, and nothing of a prototype. */
function has(node: Node, key: string): boolean {
  if (Array.isArray(node)) return /^\d+$/.test(key) && Number(key) < node.length;
  return Object.hasOwn(node, key);
}

/** Names that mean something else in JavaScript than a field of that name. */
const PROTOTYPES = new Set(["__proto__", "constructor", "prototype"]);

function assign(node: Node, [head, ...rest]: readonly string[], value: unknown, setting: string): void {
  const keys = head === "*" ? Object.keys(node) : [keyIn(node, head as string)];
  for (const key of keys) {
    if (!has(node, key) && (Array.isArray(node) || rest.length > 0 || PROTOTYPES.has(key))) {
      throw new ConfigError(`"${setting}": there is no "${head}"`, {
        hint: `There are ${Object.keys(node).join(", ")}.`,
      });
    }
    if (rest.length === 0) node[key] = value;
    else if (typeof node[key] === "object" && node[key] !== null) assign(node[key] as Node, rest, value, setting);
    else throw new ConfigError(`"${setting}": "${key}" has no parts`);
  }
}
