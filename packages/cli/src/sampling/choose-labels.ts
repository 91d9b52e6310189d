/** Labels of a command line: names of classes first, since a training set's folders may be called by numbers too. */
import { type DenoiserDescription, findLabel, labelsInWords, NULL_CLASS, nullLabel } from "@dcae/diffusion";
import { UsageError } from "../usage-error.js";

export interface ChosenLabel {
  readonly label: number;
  /** As the training set calls it, or the number. */
  readonly name: string;
}

/**
 * @param texts names of the model's classes, numbers, or "null" for the null class
 * @param option for messages
 * @throws UsageError for what is neither, and for models without classes
 */
export function chooseLabels(
  { config, classes }: Pick<DenoiserDescription, "config" | "classes">,
  texts: readonly string[],
  option = "--labels",
): ChosenLabel[] {
  if (config.numClasses === 0) throw new UsageError(`${option}: this model has no classes`);
  return texts.map((text) => {
    const label = findLabel(config, classes, text);
    if (label !== undefined) return { label, name: classes?.[label] ?? text };
    throw new UsageError(`${option}: "${text}" isn't a class`, { hint: labelsInWords(config, classes) });
  });
}

/** What a pipeline is told for a label: it takes the null class by name only. */
export function pipelineLabel({ config }: Pick<DenoiserDescription, "config">, label: number): number | string {
  return label === nullLabel(config) ? NULL_CLASS : label;
}
