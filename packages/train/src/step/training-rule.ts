/**
 * What of a model trains: rules on the names of its parameters, and the scope in which nothing else is in training.
 *
 * Frozen parts keep batch norm in inference mode while trained parts have it in training mode.
 */
import { ConfigError, type RootScope, type Scope, ShapeError, type Value } from "@dcae/core/graph";
import type { NamedValue } from "../optimizer/optimizer-row.js";

/** Whether the parameter of that name (or what lies below a name that ends in a dot) is trained. */
export type TrainingRule = (name: string) => boolean;

/** The rule of a list of beginnings. */
export function startsWithAny(prefixes: readonly string[]): TrainingRule {
  return (name) => prefixes.some((prefix) => name.startsWith(prefix));
}

/** The rule of a list of patterns: `decoder.project_out` is that place and all below it, "*" stands for anything. */
export function namePatterns(patterns: readonly string[]): TrainingRule {
  const rules = patterns.map((pattern) => {
    const escaped = pattern.replace(/\.+$/, "").replace(/[\\^$.|?+()[\]{}]/g, "\\$&");
    return new RegExp(`^${escaped.replaceAll("*", ".*")}(\\.|$)`);
  });
  return (name) => rules.some((rule) => rule.test(name));
}

/**
 * The trainable parameters of `root` that the rule picks.
 *
 * @throws ConfigError when there is none
 */
export function trainedWeights(root: RootScope, trains: TrainingRule): NamedValue[] {
  const picked = [...root.parameters.values()].filter(({ name, trainable }) => trainable && trains(name));
  if (picked.length === 0) {
    throw new ConfigError("nothing to train: no trainable parameter matches", {
      hint: `Parameters are named like "${[...root.parameters.keys()].slice(0, 3).join('", "')}".`,
    });
  }
  return picked.map(({ name, shape }) => ({ name, value: root.parameter(name, shape) }));
}

/** The scope in which a model runs in training: only trained places are in training mode. */
export function trainingScope(root: Scope, trains: TrainingRule, updates: Map<string, Value>): Scope {
  return overlayScope(root, { training: (path) => trains(`${path}.`), updates });
}

interface Overlay {
  /** Whether the place `path` behaves as in training. Default: as the scope does. */
  readonly training?: (path: string) => boolean;
  /** Takes the updates, so that of a network that runs several times no pass overwrites another's. Default: the scope's own. */
  readonly updates?: Map<string, Value>;
}

/** A scope with some of its behavior replaced: the same parameters, other modes and other places for updates. */
export function overlayScope(scope: Scope, overlay: Overlay): Scope {
  return {
    path: scope.path,
    training: overlay.training?.(scope.path) ?? scope.training,
    ranks: scope.ranks,
    at: (name) => overlayScope(scope.at(name), overlay),
    parameter: (name, shape, options) => scope.parameter(name, shape, options),
    update(name, value) {
      if (overlay.updates === undefined) return scope.update(name, value);
      const full = scope.path === "" ? name : `${scope.path}.${name}`;
      if (overlay.updates.has(full)) throw new ShapeError(`parameter "${full}" is updated twice in one pass`);
      overlay.updates.set(full, value);
    },
  };
}
