/**
 * The folder of an evaluation: result.json and report.html when it is done, and until then the parts that are finished,
 * from which the same command line goes on after it was stopped or killed.
 */
import { basename, extname, join, resolve } from "node:path";
import { NoPicturesError, removeWorkFolder, WorkFolderError } from "@dcae/eval";
import type { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { outputKind } from "../files/output-target.js";
import { makeFolder } from "../files/write-array-file.js";
import { asError } from "../rethrow-as.js";
import { UsageError } from "../usage-error.js";

export interface ResultFolderFlags {
  readonly out?: string;
  readonly restart?: boolean;
}

export interface ResultFolder {
  readonly path: string;
  /** For finished parts. */
  readonly parts: string;
  readonly result: string;
  readonly report: string;
}

export function addResultFolderOptions(command: Command): Command {
  return command
    .option("-o, --out <dir>", "folder for result.json and report.html (default: evaluation/, by what is evaluated)")
    .option("--restart", "start anew instead of going on with what a stopped run has finished");
}

/** A path or repository as a part of a folder's name. */
export function slugOf(path: string): string {
  const name = basename(resolve(path));
  const ending = extname(name);
  const stem = /^\.(npz|safetensors|pth?|ckpt|bin)$/i.test(ending) ? name.slice(0, -ending.length) : name;
  return stem.replace(/[^\w.-]+/g, "-");
}

/** Opens the folder for as long as `work` takes, and clears the finished parts away once it is through. */
export async function withResultFolder<T>(
  { out, restart }: ResultFolderFlags,
  defaultName: string,
  io: CliIo,
  work: (folder: ResultFolder) => Promise<T>,
): Promise<T> {
  const path = out ?? join("evaluation", defaultName);
  await outputKind(path, ["folder"]);
  await makeFolder(path);
  const parts = join(path, "parts");
  const folder = { path, parts, result: join(path, "result.json"), report: join(path, "report.html") };
  if (restart === true) await removeWorkFolder(parts);
  return resumable(io, parts, () => work(folder));
}

/**
 * The result of work that leaves finished parts in a folder, which are cleared away at the end; after Ctrl-C they stay.
 *
 * @throws UsageError for parts of another run, with what to do about them
 */
export async function resumable<T>(io: CliIo, parts: string, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    await removeWorkFolder(parts);
    return result;
  } catch (error) {
    if (io.signal.aborted) io.note("dcae: run the same command again to go on");
    // Nothing in them is worth keeping, and they would be in the way of a run with better options.
    if (error instanceof NoPicturesError) await removeWorkFolder(parts);
    if (!(error instanceof WorkFolderError)) throw error;
    const hint = "Repeat its options to go on with it, start anew with --restart, or give another --out.";
    throw asError(UsageError, "", new WorkFolderError(error.message, { hint, cause: error }));
  }
}
