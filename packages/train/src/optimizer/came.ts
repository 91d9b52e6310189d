/**
 * CAME (Luo et al. 2023, "CAME: Confidence-guided Adaptive Memory Efficient Optimization", algorithm 2), as a graph: the optional
 * optimizer of diffusion trainings (diffusion.md section 11).
 *
 * Second moments of matrices are kept as means over rows and over columns, n + m numbers in place of n m. An update u = g / root of
 * the second moment is limited to a root mean square of `clipThreshold`; its first moment m is then divided by the root of a second
 * factored moment, that of (u - m)^2: where updates disagree with their average, steps are short.
 *
 * State is named `came.<optimizer>.{m,row,column,residual_row,residual_column,v}.<p>`, `v` for what isn't a matrix (convolutions
 * wider than 1x1, vectors). Its moments start at 0 and aren't corrected for it, as in the reference.
 */
import { add, div, maximum, mul, reduceMean, reshape, sqrt, sub, type Value } from "@dcae/core/graph";
import { z } from "zod";
import { flat, type NamedValue, optimizerRow, stateLike, stateParameter } from "./optimizer-row.js";

const beta = z.number().min(0).lt(1);
const settings = {
  /** Decay of the first moment, of the second, and of that of the residuals. */
  betas: z.tuple([beta, beta, beta]).default([0.9, 0.999, 0.9999]),
  /** Added to squared gradients and to squared residuals. */
  eps: z.tuple([z.number().positive(), z.number().positive()]).default([1e-30, 1e-16]),
  /** Largest root mean square of an update before its learning rate. */
  clipThreshold: z.number().positive().default(1),
};
type CameSettings = z.output<z.ZodObject<typeof settings>>;

export const came = optimizerRow({
  settings,
  move({ prefix, weights, gradients, clip, learningRate, decayed }, chosen) {
    const updates = new Map<string, Value>();
    weights.forEach((weight, i) => {
      const { name, value } = weight;
      const given = gradients[i] as Value;
      const gradient = clip === undefined ? given : mul(given, clip);
      const direction = direct(prefix, weight, gradient, chosen, updates);
      updates.set(name, reshape(sub(decayed(weight), mul(flat(direction), learningRate)), value.shape));
    });
    return updates;
  },
});

/** What a weight moves along, of the weight's shape; the new moments go to `updates`. */
function direct(
  prefix: string,
  weight: NamedValue,
  gradient: Value,
  { betas, eps, clipThreshold }: CameSettings,
  updates: Map<string, Value>,
): Value {
  const { name, value } = weight;
  const sides = matrixSides(value);
  /** The root of a moving average of `squares`, kept under `row` and `column` for matrices. */
  const averageRoot = (row: string, column: string, squares: Value, beta: number): Value => {
    const keep = (key: string, mean: Value): Value => {
      const moment = average(stateParameter(`${prefix}.${key}.${name}`, mean.shape as number[]), mean, beta);
      updates.set(`${prefix}.${key}.${name}`, moment);
      return moment;
    };
    const rows = keep(row, reduceMean(squares, 1));
    const columns = keep(column, reduceMean(squares, 0));
    // The outer product of both, scaled so that its mean is theirs. Two roots: a product of two small means would underflow.
    const rowRoot = sqrt(div(rows, reduceMean(rows, 0, { keepDims: true })));
    return mul(reshape(rowRoot, [-1, 1]), reshape(sqrt(columns), [1, -1]));
  };

  const g = sides === undefined ? flat(gradient) : reshape(gradient, sides);
  const squares = add(mul(g, g), eps[0]);
  let root: Value;
  if (sides === undefined) {
    const v = average(flat(stateLike(`${prefix}.v`, weight)), squares, betas[1]);
    updates.set(`${prefix}.v.${name}`, reshape(v, value.shape));
    root = sqrt(v);
  } else {
    root = averageRoot("row", "column", squares, betas[1]);
  }
  const raw = div(g, root);
  const rms = sqrt(reduceMean(mul(raw, raw)));
  const update = div(raw, maximum(div(rms, clipThreshold), 1));
  const m = average(reshape(stateLike(`${prefix}.m`, weight), update.shape), update, betas[0]);
  updates.set(`${prefix}.m.${name}`, reshape(m, value.shape));
  if (sides === undefined) return reshape(m, value.shape);
  const residual = sub(update, m);
  const confidence = averageRoot("residual_row", "residual_column", add(mul(residual, residual), eps[1]), betas[2]);
  return reshape(div(m, confidence), value.shape);
}

/** beta old + (1 - beta) new. */
const average = (old: Value, value: Value, beta: number): Value => add(mul(old, beta), mul(value, 1 - beta));

/** Rows and columns of what counts as a matrix: those, and 1x1 convolutions. */
function matrixSides({ shape }: Value): number[] | undefined {
  const [rows, columns, ...kernel] = shape as readonly number[];
  const isMatrix = shape.length === 2 || (shape.length === 4 && kernel.every((side) => side === 1));
  return isMatrix ? [rows as number, columns as number] : undefined;
}
