/** The phases that `--phase` names: by number or by name. */
import type { TrainingConfig } from "@dcae/train";
import { UsageError } from "../usage-error.js";

/**
 * @param texts "1", "2" and "3" are all phases that train as those of the paper, anything else is a name
 * @returns names, in the training's order
 * @throws UsageError for what the training doesn't have
 */
export function choosePhases({ name, phases }: TrainingConfig, texts: readonly string[]): string[] {
  const wanted = new Set(
    texts.flatMap((text) => {
      const found = phases.filter(
        ({ name: own, trains }) => own === text || (trains.kind === "phase" && String(trains.phase) === text),
      );
      if (found.length > 0) return found.map(({ name: own }) => own);
      throw new UsageError(`--phase ${text}: ${name} has no such phase`, {
        hint: `It has ${phases.map(({ name: own }) => own).join(", ")}.`,
      });
    }),
  );
  return phases.map(({ name: own }) => own).filter((own) => wanted.has(own));
}
