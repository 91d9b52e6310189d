/** Labels of a command line. */
import { rethrowAs } from "@dcae/core/graph";
import type { DenoiserDescription } from "@dcae/diffusion";
import { type ChosenLabel, chooseLabels, NULL_CLASS, nullLabel } from "@dcae/diffusion/internal";
import { UsageError } from "../usage-error.js";

/** What `--labels` means. @throws UsageError for what is neither a class nor a number, and for models without classes */
export function labelsOf(
  description: Pick<DenoiserDescription, "config" | "classes">,
  texts: readonly string[],
): ChosenLabel[] {
  return rethrowAs(UsageError, "", () => chooseLabels(description, texts, "--labels"));
}

/** What a pipeline is told for a label: it takes the null class by name only. */
export function pipelineLabel({ config }: Pick<DenoiserDescription, "config">, label: number): number | string {
  return label === nullLabel(config) ? NULL_CLASS : label;
}
