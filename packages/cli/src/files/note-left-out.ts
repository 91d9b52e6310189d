/** Says what a folder holds besides what a command reads: hidden files, other kinds. */
import { describeLeftOut, type LeftOut } from "@dcae/core";
import type { CliIo } from "../cli-io.js";

export function noteLeftOut(io: Pick<CliIo, "note">, folder: string, { leftOut }: { readonly leftOut: LeftOut }): void {
  const kinds = describeLeftOut(leftOut);
  if (kinds !== undefined) io.note(`dcae: ${folder}: left out ${kinds}`);
}
