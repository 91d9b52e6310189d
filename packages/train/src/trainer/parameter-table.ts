/** Which parameters a run has, and what becomes of each: a table in the run's folder, and in its plan. */
import { writeFileAtomic } from "@dcae/core/checkpoint";
import { type ParameterSpec, type Program, staticShape } from "@dcae/core/graph";
import { weightDecayOf } from "../optimizer/optimizers.js";
import { optimizerParts } from "../optimizer/parameter-groups.js";
import type { TrainingRule } from "../step/training-rule.js";
import type { OptimizerOptions } from "../step/training-step.js";

/** A parameter in the table of a training: whether and how it trains. */
export interface ParameterRow {
  /** Official name. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly trained: boolean;
  /** What trains it, as its state is named: "adamw.autoencoder"; null where nothing does. */
  readonly optimizer: string | null;
  /** Learning rate after the warm-up; null where nothing trains it. */
  readonly rate: number | null;
  /** Weight decay, which the learning rate is a factor of; null where nothing trains it. */
  readonly decay: number | null;
}

type Spec = Pick<ParameterSpec, "name" | "shape" | "trainable">;

/**
 * The parameters in their order.
 *
 * @throws ConfigError when the optimizer's groups don't part them
 */
export function parameterTable(
  parameters: readonly Spec[],
  trains: TrainingRule,
  { averages, ...optimizer }: OptimizerOptions,
): ParameterRow[] {
  const isTrained = ({ name, trainable }: Spec) => trainable && trains(name);
  const parts = optimizerParts(
    optimizer,
    parameters.filter(isTrained).map(({ name }) => name),
  );
  return parameters.map(({ name, shape }) => {
    const sides = staticShape(shape, name);
    const part = parts.find(({ names }) => names.has(name));
    if (part === undefined) return { name, shape: sides, trained: false, optimizer: null, rate: null, decay: null };
    const { options, prefix } = part;
    const decay = weightDecayOf(options, name);
    return { name, shape: sides, trained: true, optimizer: prefix, rate: options.schedule.lr, decay };
  });
}

/** The parameters below a place that programs read, each once. */
export function parametersBelow(programs: readonly Program[], place: string): ParameterSpec[] {
  const specs = new Map(programs.flatMap((program) => [...program.parameters]));
  return [...specs.values()].filter(({ name }) => name.startsWith(`${place}.`));
}

/** The table as lines of values with tabs between them, "-" where there is none. */
export function formatParameterTable(rows: readonly ParameterRow[]): string {
  const lines = rows.map(({ name, shape, trained, optimizer, rate, decay }) =>
    [name, `[${shape.join(", ")}]`, trained ? "yes" : "no", optimizer ?? "-", rate ?? "-", decay ?? "-"].join("\t"),
  );
  return `${["name\tshape\ttrained\toptimizer\trate\tdecay", ...lines].join("\n")}\n`;
}

/** @throws DataError when it can't be written */
export function writeParameterTable(path: string, rows: readonly ParameterRow[]): Promise<void> {
  return writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(formatParameterTable(rows))));
}
