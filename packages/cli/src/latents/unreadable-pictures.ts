/** What happens to pictures of a training set that can't be read: the first one ends the command, unless they may be left out. */
import { DataError } from "@dcae/core";
import type { CliIo } from "../cli-io.js";
import { errorLine } from "../report-error.js";
import type { OnUnreadable } from "./encode-pictures.js";

/**
 * @param tolerated leaves them out; each is named once
 * @throws DataError from what it returns, for the first picture where none may be left out
 */
export function unreadablePictures(tolerated: boolean, io: CliIo): OnUnreadable {
  const named = new Set<string>();
  return (picture, error) => {
    if (!tolerated) {
      // A set without some of its pictures is another set: whoever wants that must say so.
      throw new DataError(error.message, {
        cause: error,
        hint: "Repair the file and go on with the same command, or leave such pictures out with --skip-errors.",
      });
    }
    if (named.has(picture)) return;
    named.add(picture);
    io.note(`dcae: ${errorLine(error)}`);
  };
}
