/**
 * Text form of a tensor in the style of NumPy's `repr`: nested brackets, aligned columns, and an ellipsis where an axis
 * of a large tensor is cut.
 */
import { dtypeKind } from "./dtype.js";
import type { Tensor } from "./tensor.js";

/** Tensors with more elements than this are abbreviated. */
const SUMMARY_THRESHOLD = 1000;
/** Items kept at each end of an abbreviated axis. */
const EDGE_ITEMS = 3;

/** Text of `tensor`: its values, then shape and dtype. */
export function formatTensor(tensor: Tensor): string {
  const edge = tensor.size > SUMMARY_THRESHOLD ? EDGE_ITEMS : Number.POSITIVE_INFINITY;
  const cells: string[] = [];
  visit(tensor, edge, (value) => cells.push(formatValue(value, tensor)));
  const width = cells.reduce((widest, cell) => Math.max(widest, cell.length), 0);
  let next = 0;
  const body = layout(tensor, edge, "tensor(".length, () => (cells[next++] as string).padStart(width));
  return `tensor(${body}, shape=[${tensor.shape.join(", ")}], dtype=${tensor.dtype})`;
}

function formatValue(value: number | bigint, tensor: Tensor): string {
  const kind = dtypeKind(tensor.dtype);
  if (kind === "bool") return value === 0 ? "false" : "true";
  if (kind === "int" || typeof value === "bigint") return value.toString();
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const magnitude = Math.abs(value);
  return magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e6) ? value.toExponential(4) : value.toFixed(4);
}

/** Positions shown along an axis; `undefined` stands for the ellipsis. */
function shownPositions(length: number, edge: number): (number | undefined)[] {
  const all = length <= 2 * edge;
  const positions: (number | undefined)[] = [];
  for (let i = 0; i < length; i++) {
    if (all || i < edge || i >= length - edge) positions.push(i);
    else if (i === edge) positions.push(undefined);
  }
  return positions;
}

function visit(tensor: Tensor, edge: number, callback: (value: number | bigint) => void): void {
  if (tensor.rank === 0) callback(tensor.at());
  else {
    for (const i of shownPositions(tensor.shape[0] as number, edge)) {
      if (i !== undefined) visit(tensor.row(i), edge, callback);
    }
  }
}

function layout(tensor: Tensor, edge: number, indent: number, nextCell: () => string): string {
  if (tensor.rank === 0) return nextCell();
  const items = shownPositions(tensor.shape[0] as number, edge).map((i) =>
    i === undefined ? "..." : layout(tensor.row(i), edge, indent + 1, nextCell),
  );
  // Rows of matrices on a line each, matrices of a stack with a blank line between them.
  const separator = tensor.rank === 1 ? ", " : `,${"\n".repeat(tensor.rank - 1)}${" ".repeat(indent + 1)}`;
  return `[${items.join(separator)}]`;
}
