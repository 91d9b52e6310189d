/** Exact tilings of a program that tests try. */
import { type ExactPlan, exactPlans } from "../../src/autoencoders/exact-tiling-plan.js";
import type { Program } from "../../src/graph/index.js";
import { programMemory } from "../../src/runtime/program-memory.js";

export function predictMemory(program: Program): number {
  const { constants, activations } = programMemory(program);
  return constants + activations;
}

export const plansOf = (program: Program, sides: readonly number[]) =>
  exactPlans(program, sides, { maxMemory: 0, predictMemory });

/** With tiles of each side (in cells): the least and the most of the program tiled, and in between, as `shares` say. */
export function samplePlans(program: Program, sides: readonly number[], shares: readonly number[]): ExactPlan[] {
  return sides.flatMap((side) => {
    const plans = plansOf(program, [side]);
    return shares.map((share) => plans[Math.floor(share * (plans.length - 1))] as ExactPlan);
  });
}
