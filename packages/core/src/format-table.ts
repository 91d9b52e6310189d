/**
 * Columns of text for a terminal. A library would be many times as long as the function, and none knows that names in cells may hold
 * escape sequences.
 */
import { printableLine } from "./printable.js";

/**
 * Rows as lines, columns two spaces apart.
 *
 * @param rows may have different lengths. What ends a row before the last column is a remark: it starts in its column, whatever
 *   that is, and may be longer than it
 * @param isNumber by column: aligned to the right
 */
export function formatTable(rows: readonly (readonly string[])[], isNumber: readonly boolean[] = []): string[] {
  const cells = rows.map((row) => row.map(printableLine));
  const columns = Math.max(0, ...cells.map((row) => row.length));
  const isRemark = (row: readonly string[], column: number) => column === row.length - 1 && row.length < columns;
  const widths = Array.from({ length: columns }, (_, column) =>
    cells.reduce((width, row) => (isRemark(row, column) ? width : Math.max(width, row[column]?.length ?? 0)), 0),
  );
  const place = (row: readonly string[]) => (cell: string, column: number) => {
    const width = widths[column] as number;
    return isNumber[column] === true && !isRemark(row, column) ? cell.padStart(width) : cell.padEnd(width);
  };
  return cells.map((row) => row.map(place(row)).join("  ").trimEnd());
}
