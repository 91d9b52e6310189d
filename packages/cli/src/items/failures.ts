/** Items that couldn't be read: each is named when it happens and counted at the end. */
import { DataError } from "@dcae/core";
import type { CliIo } from "../cli-io.js";
import { errorLine } from "../report-error.js";
import type { Item } from "./item.js";

export interface Failures {
  readonly list: readonly { readonly source: string; readonly error: string }[];
  add(item: Item, error: DataError): void;
  /**
   * Ends the command: with an error when items failed, unless `tolerated`; always when all of them did.
   *
   * @throws DataError
   */
  finish(total: number): void;
}

/**
 * @param noun what items are, as in "picture"
 * @param tolerated whether failed items leave the exit status at 0
 */
export function createFailures(io: CliIo, noun: string, tolerated: boolean): Failures {
  const list: { source: string; error: string }[] = [];
  return {
    list,
    add(item, error) {
      const line = errorLine(error);
      list.push({ source: item.source, error: line });
      io.note(`dcae: ${line}`);
    },
    finish(total) {
      if (list.length === 0) return;
      const message = `${list.length} of ${total} ${noun}${total === 1 ? "" : "s"} could not be used`;
      if (tolerated && list.length < total) io.note(`dcae: ${message}`);
      else throw new DataError(message, { hint: "See above." });
    },
  };
}
