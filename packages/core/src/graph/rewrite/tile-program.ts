/**
 * The part of a graph between two values, computed for a rectangle of its result only.
 *
 * Regions are propagated from the result back to the source with `tileRules`; a value that several others use is computed
 * on the hull of what they need. Then the graph is built again on these regions: convolutions are padded only where the
 * picture ends, everything else sees real neighbors, so a tile's pixels are those of the whole picture.
 */
import { isStaticShape } from "../dim.js";
import { slice } from "../ops/layout.js";
import { input } from "../ops/leaves.js";
import { topologicalOrder } from "../traverse.js";
import type { OpName, Value } from "../value.js";
import { pictureSize, type Range, type Region, type TileRule, tileRules } from "./tile-rules.js";

/**
 * The values on the way from `source` to `target`, inputs first, without `source`.
 *
 * Undefined where one of them isn't local, or depends on an input of the program past `source`.
 */
export function localPath(source: Value, target: Value): readonly Value[] | undefined {
  const on = new Set<Value>([source]);
  const past = new Set<Value>();
  const path: Value[] = [];
  for (const value of topologicalOrder([target])) {
    if (value === source) continue;
    if (value.inputs.some((operand) => on.has(operand))) {
      if (!isLocal(value, on, past)) return undefined;
      on.add(value);
      path.push(value);
    } else if (value.op === "input" || value.inputs.some((operand) => past.has(operand))) past.add(value);
  }
  return on.has(target) ? path : undefined;
}

function isLocal(value: Value, on: ReadonlySet<Value>, past: ReadonlySet<Value>): boolean {
  const rule = tileRules[value.op] as TileRule<OpName> | null;
  if (rule === null || !isStaticShape(value.shape) || value.shape.length < 3) return false;
  if (rule.accepts !== undefined && !rule.accepts(value as never)) return false;
  return value.inputs.every((operand, i) => {
    if (past.has(operand) || !isStaticShape(operand.shape)) return false;
    if (on.has(operand)) return operand.shape.length >= 3;
    // Weights and constants must be the same for all pixels, unless they are the op's filters.
    return value.op === "conv2d" ? i > 0 : pictureSize(operand).every((size) => size === 1);
  });
}

const hull = (a: Range, b: Range): Range => ({ start: Math.min(a.start, b.start), stop: Math.max(a.stop, b.stop) });
const clamp = ({ start, stop }: Range, size: number): Range => ({
  start: Math.max(0, start),
  stop: Math.min(size, stop),
});
const within = (region: Region, value: Value): Region => {
  const [height, width] = pictureSize(value);
  return [clamp(region[0], height), clamp(region[1], width)];
};

function ruleOf(value: Value): TileRule<OpName> {
  return tileRules[value.op] as TileRule<OpName>;
}

/** What an operand must provide, before it is cut at the picture's borders. Sizes of 1 broadcast. */
function needOf(value: Value, operand: Value, region: Region): Region {
  const need = ruleOf(value).need(value as never, region);
  if (value.op === "conv2d") return need;
  const [height, width] = pictureSize(operand);
  const [outHeight, outWidth] = pictureSize(value);
  const whole = { start: 0, stop: 1 };
  return [height === 1 && outHeight > 1 ? whole : need[0], width === 1 && outWidth > 1 ? whole : need[1]];
}

/** The region of `source` that `region` of the last value of `path` depends on, and those of all values between. */
export function requiredRegions(source: Value, path: readonly Value[], region: Region): ReadonlyMap<Value, Region> {
  const regions = new Map<Value, Region>();
  const target = path.at(-1) ?? source;
  regions.set(target, region);
  const on = new Set<Value>([source, ...path]);
  for (const value of [...path].reverse()) {
    const own = regions.get(value);
    if (own === undefined) continue;
    for (const operand of value.inputs) {
      if (!on.has(operand)) continue;
      const need = within(needOf(value, operand, own), operand);
      const known = regions.get(operand);
      regions.set(operand, known === undefined ? need : [hull(known[0], need[0]), hull(known[1], need[1])]);
    }
  }
  return regions;
}

function crop(value: Value, from: Region, to: Region): Value {
  const rank = value.shape.length;
  return to.reduce((result, range, i) => {
    const origin = (from[i] as Range).start;
    return slice(result, rank - 2 + i, range.start - origin, range.stop - origin);
  }, value);
}

export interface Tile {
  /** Depends on an input named `name`, of the shape of `sourceRegion`. */
  readonly value: Value;
  readonly sourceRegion: Region;
  /** Equal for tiles whose graphs are equal, so that one loaded program serves them all. */
  readonly key: string;
}

/** `region` of the last value of `path` as a graph of its own. */
export function buildTile(source: Value, path: readonly Value[], region: Region, name: string): Tile {
  const regions = requiredRegions(source, path, region);
  const sourceRegion = regions.get(source) as Region;
  const extent = ({ start, stop }: Range) => stop - start;
  const shape = [...source.shape.slice(0, -2), ...sourceRegion.map(extent)];
  const built = new Map<Value, Value>([[source, input(name, shape, source.dtype)]]);
  const key: string[] = [shape.join("x")];
  for (const value of path) {
    const own = regions.get(value);
    if (own === undefined) continue;
    let cut = { top: 0, left: 0, bottom: 0, right: 0 };
    const inputs = value.inputs.map((operand) => {
      const tile = built.get(operand);
      if (tile === undefined) return operand;
      const need = needOf(value, operand, own);
      const inside = within(need, operand);
      if (value.op === "conv2d") {
        cut = {
          top: inside[0].start - need[0].start,
          left: inside[1].start - need[1].start,
          bottom: need[0].stop - inside[0].stop,
          right: need[1].stop - inside[1].stop,
        };
        key.push(Object.values(cut).join());
      }
      const available = regions.get(operand) as Region;
      key.push(inside.map((range, i) => `${range.start - (available[i] as Range).start}+${extent(range)}`).join());
      return crop(tile, available, inside);
    });
    if (value.op === "pixelShuffle" || value.op === "upsampleNearest2d") {
      key.push(own.map(({ start }) => start % value.attributes.factor).join());
    }
    built.set(value, ruleOf(value).make(value as never, inputs, own, cut));
  }
  return { value: built.get(path.at(-1) ?? source) as Value, sourceRegion, key: key.join(" ") };
}
