/**
 * Whether a file holds exactly the arrays of a model. Nothing that doesn't fit is ignored: a checkpoint of another model must
 * never load and give poor pictures.
 */
import { CheckpointError } from "../../errors.js";
import { dtypeKind } from "../../graph/dtype.js";
import type { WeightPiece } from "../../models/family.js";
import { quoted } from "../json-text.js";
import type { WeightEntry, Weights } from "../weights.js";
import { isOptionalBuffer, type PlannedWeight, type WeightPlan } from "./weight-plan.js";

/** Problems that an error lists in full. */
const MAX_LISTED = 20;

interface Problem {
  readonly kind: "missing" | "unexpected" | "misshaped" | "of another type";
  readonly line: string;
}

export interface CheckWeightsOptions {
  /** What the file looks like instead, as in `dc-ae-f32c32-sana-1.0`; asked only when something is wrong. */
  readonly identify?: () => readonly string[];
  /** What the plan is for, for the message. */
  readonly model?: string;
}

/**
 * Compares the arrays of a file (names, shapes, and whether they hold floats or integers) with a plan. The width of a type may
 * differ: a float16 file fits a float32 model.
 *
 * @throws CheckpointError that lists what is missing, unexpected, misshaped and of another type
 */
export function checkWeights(plan: WeightPlan, weights: Weights, options: CheckWeightsOptions = {}): void {
  const problems = findProblems(plan, weights);
  if (problems.length === 0) return;

  const kinds = ["missing", "unexpected", "misshaped", "of another type"] as const;
  const summary = kinds
    .map((kind) => [problems.filter((problem) => problem.kind === kind).length, kind] as const)
    .filter(([count]) => count > 0)
    .map(([count, kind]) => `${count} ${kind}`);
  const lines = problems.slice(0, MAX_LISTED).map(({ line }) => `\n  ${line}`);
  if (problems.length > MAX_LISTED) lines.push(`\n  and ${problems.length - MAX_LISTED} more`);

  const found = options.identify?.() ?? [];
  throw new CheckpointError(
    `${weights.source}: these tensors don't fit ${options.model ?? "the model"}: ${summary.join(", ")}${lines.join("")}`,
    found.length === 0 ? {} : { hint: `This looks like ${found.join(" or ")}.` },
  );
}

function findProblems(plan: WeightPlan, weights: Weights): Problem[] {
  const problems: Problem[] = [];
  const expected = new Set<string>();
  for (const planned of plan) {
    for (const piece of planned.pieces) {
      expected.add(piece.name);
      const problem = compare(planned, piece, weights.entries.get(piece.name));
      if (problem !== undefined) problems.push(problem);
    }
    const types = new Set(planned.pieces.flatMap(({ name }) => weights.entries.get(name)?.dtype ?? []));
    if (types.size > 1) {
      const names = planned.pieces.map(({ name }) => quoted(name)).join(", ");
      problems.push({
        kind: "of another type",
        line: `${names} must have one dtype but have ${[...types].join(", ")}`,
      });
    }
  }
  for (const { name, shape } of weights.entries.values()) {
    if (!expected.has(name))
      problems.push({ kind: "unexpected", line: `unexpected ${quoted(name)} ${shapeText(shape)}` });
  }
  return problems;
}

function compare({ spec }: PlannedWeight, piece: WeightPiece, entry: WeightEntry | undefined): Problem | undefined {
  const name = quoted(piece.name);
  if (entry === undefined) {
    if (isOptionalBuffer(spec)) return undefined;
    return { kind: "missing", line: `missing ${name} ${shapeText(piece.shape)}` };
  }
  if (entry.shape.length !== piece.shape.length || entry.shape.some((dim, axis) => dim !== piece.shape[axis])) {
    return { kind: "misshaped", line: `${name} is ${shapeText(entry.shape)} but must be ${shapeText(piece.shape)}` };
  }
  const kind = dtypeKind(spec.dtype);
  if (dtypeKind(entry.dtype) === kind) return undefined;
  return {
    kind: "of another type",
    line: `${name} is ${entry.dtype} but must be ${kind === "int" ? "an integer" : `a ${kind}`} type`,
  };
}

function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}
