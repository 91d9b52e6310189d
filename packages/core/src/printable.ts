/**
 * Text from elsewhere (names of files, classes and tensors, values of configs) made safe to show. A terminal obeys control
 * characters: an escape sequence in a file's name can move the cursor, set the clipboard or answer a question.
 *
 * Such characters become `\u001b` and the like. That is also how JSON writes them, so JSON text stays the same value.
 */

/**
 * Control characters but for tab and line feed, line and paragraph separators, lone surrogates, and the marks that turn the
 * direction of text: these make a name look like another one.
 */
const UNSAFE = /(?![\t\n])[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_C}\p{Cs}]/gu;

const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** `text` without anything that a terminal obeys; line breaks and tabs stay. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escaped);
}

/** As `printable`, for what must stay one line: tabs and line breaks are escaped too. */
export function printableLine(text: string): string {
  return printable(text).replace(/[\t\n]/g, escaped);
}

// Columns of text for a terminal. A library would be many times as long as the function, and none knows that names in cells may hold
// escape sequences.

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
