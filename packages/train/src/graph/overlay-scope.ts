/**
 * A scope with some of its behavior replaced: the same parameters, other modes and other places for updates.
 *
 * Frozen parts of a model keep batch norm in inference mode while trained parts have it in training mode, and a network that
 * runs several times per step must not overwrite the updates of one pass with those of the next.
 */
import { type Scope, ShapeError, type Value } from "@dcae/core/graph";

export interface Overlay {
  /** Whether the place `path` behaves as in training. Default: as the scope does. */
  readonly training?: (path: string) => boolean;
  /** Takes the updates. Default: the scope's own. */
  readonly updates?: Map<string, Value>;
}

export function overlayScope(scope: Scope, overlay: Overlay): Scope {
  return {
    path: scope.path,
    training: overlay.training?.(scope.path) ?? scope.training,
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
