/** LPIPS (`@dcae/core/nets`) as a program of 8-bit pictures. */
import { ConfigError } from "@dcae/core";
import { createProgram, createScope, mul, type Program, sub } from "@dcae/core/graph";
import { type LpipsOptions, lpips, lpipsMinSide } from "@dcae/core/nets";
import { pictureInput } from "./pictures.js";

export interface LpipsProgramOptions extends Required<Pick<LpipsOptions, "trunk" | "norm">> {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  /** Widths of the five taps; the published ones by default. */
  readonly widths?: readonly number[] | undefined;
}

/**
 * Inputs `a` and `b`, 8-bit pictures [N, H, W, 3]; output `distance` [N].
 *
 * @throws ConfigError when a side is too short for the trunk
 */
export function lpipsProgram({ count, height, width, widths, trunk, norm }: LpipsProgramOptions): Program {
  const minSide = lpipsMinSide(trunk);
  if (Math.min(height, width) < minSide) {
    throw new ConfigError(`LPIPS (${trunk}) needs pictures of at least ${minSide} pixels per side`, {
      hint: `The pictures have ${width}x${height}; leave lpips out of the metrics.`,
    });
  }
  const picture = (name: string) => sub(mul(pictureInput(name, count, height, width), 2 / 255), 1);
  const options = { trunk, norm, ...(widths === undefined ? {} : { widths }) };
  const { distance } = lpips(createScope(), picture("a"), picture("b"), options);
  return createProgram(`lpips (${trunk})`, { distance });
}
