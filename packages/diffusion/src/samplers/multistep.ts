/**
 * Multistep solvers on any grid: DPM-Solver++ of order 1 to 3 (Lu et al., 2022) and UniPC (Zhao et al., 2023), which corrects every
 * step with the evaluation that the next one needs anyway (diffusion.md 9.5 and 9.6).
 *
 * As in dpm-solver.ts, `sign` is +1 where the noise is integrated and -1 where the data is.
 */
import { combine, type Term, type Trajectory } from "./sampler.js";

/** A place of the grid. sigma 0 (the data itself) is allowed as the last one, reached by a step of order 1. */
export interface SolverPoint {
  readonly alpha: number;
  readonly sigma: number;
  /** What the model is fed. */
  readonly modelTime: number;
}

interface MultistepRule {
  readonly solver: "dpm" | "unipc";
  readonly predict: "noise" | "data";
  /** Order of each step, as far as earlier evaluations allow. */
  readonly orders: readonly number[];
  /** The model's output at x as what `predict` says. */
  readonly interpret: (x: Float32Array, output: Float32Array, point: SolverPoint) => Float32Array;
}

interface Evaluation {
  readonly lambda: number;
  readonly m: Float32Array;
}

const lambdaOf = ({ alpha, sigma }: SolverPoint) => Math.log(alpha) - Math.log(sigma);

/** The state at the last of `points` (one more than there are orders). */
export async function solveMultistep(
  rule: MultistepRule,
  points: readonly SolverPoint[],
  trajectory: Trajectory,
): Promise<Float32Array> {
  const evaluate = async (x: Float32Array, point: SolverPoint): Promise<Evaluation> => {
    const output = await trajectory.evaluate(x, point.modelTime);
    return { lambda: lambdaOf(point), m: rule.interpret(x, output, point) };
  };
  let x = trajectory.start;
  const history: Evaluation[] = [];
  for (const [k, wanted] of rule.orders.entries()) {
    const [from, to] = [points[k] as SolverPoint, points[k + 1] as SolverPoint];
    if (k === 0) history.unshift(await evaluate(x, from));
    const order = Math.min(wanted, history.length);
    const last = k === rule.orders.length - 1;
    if (rule.solver === "dpm") {
      x = dpmStep(rule.predict, order, x, history, from, to);
      if (!last) history.unshift(await evaluate(x, to));
    } else {
      const { predicted, correct } = uniPcStep(rule.predict, order, x, history, from, to);
      x = predicted;
      if (!last) {
        const next = await evaluate(predicted, to);
        x = correct(next.m);
        history.unshift(next);
      }
    }
    await trajectory.report(x, to.modelTime);
  }
  return x;
}

/** What both solvers share: the exact part of a step, and the factor of its corrections. */
function exactPart(
  predict: MultistepRule["predict"],
  x: Float32Array,
  m: Float32Array,
  from: SolverPoint,
  to: SolverPoint,
) {
  const sign = predict === "noise" ? 1 : -1;
  const [ratio, scale] = predict === "noise" ? [to.alpha / from.alpha, to.sigma] : [to.sigma / from.sigma, to.alpha];
  const h = lambdaOf(to) - lambdaOf(from);
  const phi1 = Math.expm1(sign * h);
  const base: readonly Term[] = [
    [ratio, x],
    [-scale * phi1, m],
  ];
  return { sign, scale, h, phi1, base };
}

function dpmStep(
  predict: MultistepRule["predict"],
  order: number,
  x: Float32Array,
  history: readonly Evaluation[],
  from: SolverPoint,
  to: SolverPoint,
): Float32Array {
  const [e0, e1, e2] = history as readonly [Evaluation, Evaluation | undefined, Evaluation | undefined];
  const { sign, scale, h, phi1, base } = exactPart(predict, x, e0.m, from, to);
  if (order === 1 || e1 === undefined) return combine(...base);
  const r0 = (e0.lambda - e1.lambda) / h;
  const first = combine([1 / r0, e0.m], [-1 / r0, e1.m]);
  if (order === 2 || e2 === undefined) return combine(...base, [-0.5 * scale * phi1, first]);
  const r1 = (e1.lambda - e2.lambda) / h;
  const second = combine([1 / r1, e1.m], [-1 / r1, e2.m]);
  const share = r0 / (r0 + r1);
  const slope = combine([1 + share, first], [-share, second]);
  const curvature = combine([2 / (r0 + r1), first], [-2 / (r0 + r1), second]);
  const phi2 = phi1 / h - sign;
  const phi3 = phi2 / h - 0.5;
  return combine(...base, [-sign * scale * phi2, slope], [-scale * phi3, curvature]);
}

/** Solves a small dense system by Gaussian elimination with pivoting. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i] as number]);
  const n = rows.length;
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let i = column + 1; i < n; i++) {
      if (Math.abs(rows[i]?.[column] ?? 0) > Math.abs(rows[pivot]?.[column] ?? 0)) pivot = i;
    }
    [rows[column], rows[pivot]] = [rows[pivot] as number[], rows[column] as number[]];
    const head = rows[column] as number[];
    for (const [i, row] of rows.entries()) {
      if (i === column) continue;
      const factor = (row[column] as number) / (head[column] as number);
      for (let j = column; j <= n; j++) row[j] = (row[j] as number) - factor * (head[j] as number);
    }
  }
  return rows.map((row, i) => (row[n] as number) / (row[i] as number));
}

/** One step of UniPC with the second variant of B(h); `correct` takes the evaluation at the predicted state. */
function uniPcStep(
  predict: MultistepRule["predict"],
  order: number,
  x: Float32Array,
  history: readonly Evaluation[],
  from: SolverPoint,
  to: SolverPoint,
): { readonly predicted: Float32Array; readonly correct: (m: Float32Array) => Float32Array } {
  const [now, ...earlier] = history as readonly [Evaluation, ...Evaluation[]];
  const { sign, scale, h, phi1, base } = exactPart(predict, x, now.m, from, to);
  const hh = sign * h;
  const used = earlier.slice(0, order - 1);
  const positions = [...used.map(({ lambda }) => (lambda - now.lambda) / h), 1];
  const differences = used.map(({ m }, k) =>
    combine([1 / (positions[k] as number), m], [-1 / (positions[k] as number), now.m]),
  );
  const matrix = positions.map((_, i) => positions.map((r) => r ** i));
  const right: number[] = [];
  let [g, factorial] = [phi1 / hh - 1, 1];
  for (let i = 1; i <= order; i++) {
    factorial *= i;
    right.push((g * factorial) / phi1);
    g = g / hh - 1 / (factorial * (i + 1));
  }
  const weigh = (weights: readonly number[]): Term[] =>
    differences.map((difference, k) => [-scale * phi1 * (weights[k] as number), difference]);
  const predictor =
    order <= 1
      ? []
      : order === 2
        ? [0.5]
        : solve(
            matrix.slice(0, -1).map((row) => row.slice(0, -1)),
            right.slice(0, -1),
          );
  return {
    predicted: combine(...base, ...weigh(predictor)),
    correct(m) {
      const weights = order === 1 ? [0.5] : solve(matrix, right);
      const last = -scale * phi1 * (weights.at(-1) as number);
      return combine(...base, ...weigh(weights), [last, m], [-last, now.m]);
    },
  };
}
