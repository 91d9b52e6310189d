/** What golden cases of LPIPS say, and how results are laid out as in them. */
import type { Tensor } from "@dcae/core";
import { mul, sub, type Value } from "@dcae/core/graph";
import type { LpipsOptions } from "@dcae/core/nets";
import type { GoldenCase } from "@dcae/test-support/golden";

export function optionsOf({ config }: GoldenCase): Required<LpipsOptions> {
  const widths =
    config.net === "vgg" && config.widths.length === 4 ? [...config.widths, config.widths.at(-1)] : config.widths;
  return { trunk: config.net, norm: config.impl === "torchmetrics" ? "official-evaluation" : "lpips", widths };
}

/** Inputs are in [0, 1] where the case says so. */
export function inRange({ config }: GoldenCase, picture: Value): Value {
  return config.normalize === true ? sub(mul(picture, 2), 1) : picture;
}

export function named(terms: readonly Value[]): Record<string, Value> {
  return Object.fromEntries(terms.map((value, i) => [`tap${i}`, value]));
}

/** The parts of the taps, [N, taps]. */
export function rows(results: Readonly<Record<string, Tensor>>): number[] {
  const taps = Object.keys(results).filter((name) => /^tap\d+$/.test(name)).length;
  const columns = Array.from({ length: taps }, (_, i) => (results[`tap${i}`] as Tensor).toFloat32());
  return Array.from(columns[0] as Float32Array, (_, n) => columns.map((column) => column[n] as number)).flat();
}
