/** Labels of a command line: names of classes first, since a training set's folders may be called by numbers too. */
import { type DenoiserDescription, nullLabel } from "@dcae/diffusion";
import { UsageError } from "../usage-error.js";

export interface ChosenLabel {
  readonly label: number;
  /** As the training set calls it, or the number. */
  readonly name: string;
}

/** Classes that a message names. */
const LISTED = 20;

/**
 * @param texts names of the model's classes, or numbers
 * @param option for messages
 * @throws UsageError for what is neither, and for models without classes
 */
export function chooseLabels(
  { config, classes }: Pick<DenoiserDescription, "config" | "classes">,
  texts: readonly string[],
  option = "--labels",
): ChosenLabel[] {
  if (config.numClasses === 0) throw new UsageError(`${option}: this model has no classes`);
  const last = nullLabel(config) ?? config.numClasses - 1;
  return texts.map((text) => {
    const named = classes?.indexOf(text) ?? -1;
    if (named >= 0) return { label: named, name: text };
    const label = /^\d{1,9}$/.test(text) ? Number(text) : -1;
    if (label >= 0 && label <= last) return { label, name: classes?.[label] ?? text };
    const listed =
      classes === null ? "" : `: ${classes.slice(0, LISTED).join(", ")}${classes.length > LISTED ? "..." : ""}`;
    throw new UsageError(`${option}: "${text}" isn't a class`, {
      hint: `Classes are 0 to ${config.numClasses - 1}${listed}.`,
    });
  });
}
