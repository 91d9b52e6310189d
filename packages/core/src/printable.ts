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
