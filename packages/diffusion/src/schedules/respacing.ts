/**
 * Which of N diffusion steps a shorter sampler keeps (Nichol and Dhariwal, 2021; diffusion.md 9.2).
 */

import { ConfigError } from "@dcae/core";
import { roundHalfEven } from "./round-half-even.js";

/**
 * Kept step indices, ascending.
 *
 * @param spec "250": that many, spread evenly; "10,15,20": counts of equal sections; "ddim50": a fixed integer stride
 * @throws ConfigError when a section has fewer steps than asked for, or no stride gives the count
 */
export function respacedSteps(spec: string, total: number): Int32Array {
  const ddim = /^ddim(\d+)$/.exec(spec)?.[1];
  if (ddim !== undefined) return stridedSteps(Number(ddim), total);
  const counts = spec.split(",").map(Number);
  if (!counts.every((count) => Number.isInteger(count) && count >= 1)) {
    throw new ConfigError(`respacing "${spec}": must be counts such as "250" or "10,15,20", or "ddim50"`);
  }
  const size = Math.floor(total / counts.length);
  const longer = total % counts.length;
  let start = 0;
  const kept = counts.flatMap((count, i) => {
    const length = size + (i < longer ? 1 : 0);
    if (length < count) throw new ConfigError(`respacing "${spec}": a section of ${length} steps can't give ${count}`);
    const section = sectionSteps(start, length, count);
    start += length;
    return section;
  });
  return Int32Array.from(kept);
}

/** Positions are accumulated and rounded half to even, as the reference does it. */
function sectionSteps(start: number, length: number, count: number): number[] {
  const stride = count === 1 ? 1 : (length - 1) / (count - 1);
  const steps: number[] = [];
  for (let i = 0, position = 0; i < count; i++, position += stride) steps.push(start + roundHalfEven(position));
  return steps;
}

function stridedSteps(count: number, total: number): Int32Array {
  for (let stride = 1; stride < total; stride++) {
    if (Math.ceil(total / stride) === count) return Int32Array.from({ length: count }, (_, i) => i * stride);
  }
  throw new ConfigError(`respacing "ddim${count}": no integer stride keeps ${count} of ${total} steps`);
}
