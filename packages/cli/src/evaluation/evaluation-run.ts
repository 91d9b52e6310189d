/**
 * The folder of an evaluation: result.json and report.html when it is done, and until then the parts that are finished,
 * from which the same command line goes on after it was stopped or killed.
 */
import { basename, extname, join, resolve } from "node:path";
import { DataError } from "@dcae/core";
import { errorAs } from "@dcae/core/graph";
import { holdShard, type JobPart } from "@dcae/core/internal";
import {
  type EvaluationResult,
  formatResult,
  METRICS,
  type Metric,
  NoPicturesError,
  type Progress,
  WorkFolderError,
  writeReport,
  writeResult,
} from "@dcae/eval";
import {
  formatSeconds,
  MissingPartsError,
  type ReportPictures,
  removeWorkFolder,
  stringifyResult,
} from "@dcae/eval/internal";
import type { Command } from "commander";
import { type CliIo, formatCount, plural } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { makeFolder } from "../files/array-file.js";
import { outputKind } from "../files/paths.js";
import { noteWaiting, reportShard, shardOption } from "../options/shard-options.js";

export interface ResultFolderFlags {
  readonly out?: string;
  readonly restart?: boolean;
  readonly shard?: JobPart;
  readonly json?: boolean;
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
    .option("--restart", "start anew instead of going on with what a stopped run has finished")
    .addOption(shardOption());
}

/** A path or repository as a part of a folder's name. */
export function slugOf(path: string): string {
  const name = basename(resolve(path));
  const ending = extname(name);
  const stem = /^\.(npz|safetensors|pth?|ckpt|bin)$/i.test(ending) ? name.slice(0, -ending.length) : name;
  return stem.replace(/[^\w.-]+/g, "-");
}

/**
 * Opens the folder for as long as `work` takes, and clears the finished parts away once it is through. Those that many processes
 * share stay: one that comes late or twice finds its own done.
 *
 * @returns undefined for a shard that is done before others are, which is said
 */
export async function withResultFolder<T>(
  flags: ResultFolderFlags,
  defaultName: string,
  io: CliIo,
  work: (folder: ResultFolder) => Promise<T>,
): Promise<T | undefined> {
  const { out, restart, shard } = flags;
  if (shard !== undefined && restart === true) {
    throw new UsageError("--restart and --shard exclude each other: it would remove what the other shards have done", {
      hint: "Remove the folder's parts before the first of them starts.",
    });
  }
  const path = out ?? join("evaluation", defaultName);
  await outputKind(path, ["folder"]);
  await makeFolder(path);
  const parts = join(path, "parts");
  const folder = { path, parts, result: join(path, "result.json"), report: join(path, "report.html") };
  if (restart === true) await removeWorkFolder(parts);
  if (shard === undefined) return resumable(io, parts, () => work(folder));
  const onWait = (owner: string) => noteWaiting(shard, owner, io);
  return holdShard(path, shard, { signal: io.signal, onWait }, async () => {
    try {
      return await resumable(io, parts, () => work(folder), true);
    } catch (error) {
      if (!(error instanceof MissingPartsError)) throw error;
      reportShard({ out: path, shard, json: flags.json }, error, io);
      return undefined;
    }
  });
}

/**
 * The result of work that leaves finished parts in a folder, which are cleared away at the end; after Ctrl-C they stay.
 *
 * @param isShared whether other processes use the parts too, which stay then
 * @throws UsageError for parts of another run, with what to do about them
 */
export async function resumable<T>(io: CliIo, parts: string, work: () => Promise<T>, isShared = false): Promise<T> {
  try {
    const result = await work();
    if (!isShared) await removeWorkFolder(parts);
    return result;
  } catch (error) {
    if (io.signal.aborted) io.note("dcae: run the same command again to go on");
    // Nothing in them is worth keeping, and they would be in the way of a run with better options.
    if (error instanceof NoPicturesError && !isShared) await removeWorkFolder(parts);
    if (!(error instanceof WorkFolderError)) throw error;
    const hint = "Repeat its options to go on with it, start anew with --restart, or give another --out.";
    throw errorAs(new WorkFolderError(error.message, { hint, cause: error }), UsageError);
  }
}

// The progress of an evaluation on the terminal, with its speed, and a word about what an earlier run had done.

/** @param now in milliseconds, for tests */
export function showProgress(io: CliIo, now: () => number = Date.now): (progress: Progress) => void {
  let stage = "";
  let start = 0;
  let isAnnounced = false;
  return ({ stage: current, done, total, unit, resumed = 0 }) => {
    if (current !== stage) {
      stage = current;
      isAnnounced = false;
    }
    if (unit === "share") {
      io.progress.show({ label: current, done: Math.floor(100 * done), total: 100 });
      return;
    }
    const computed = done - resumed;
    // Parts of an earlier run come first, in no time.
    if (computed <= 0) start = now();
    if (!isAnnounced && resumed > 0 && (computed > 0 || done === total)) {
      isAnnounced = true;
      io.note(`dcae: ${current}: ${formatCount(resumed)} of ${plural(total, "picture")} done by an earlier run`);
    }
    io.progress.show({ label: current, done, total, detail: speed(computed, total - done, (now() - start) / 1000) });
  };
}

function speed(done: number, left: number, seconds: number): string {
  if (done <= 0 || seconds <= 0) return "";
  const rate = done / seconds;
  return `${rate.toPrecision(3)} pictures/s, ${formatSeconds(left / rate)} left`;
}

// The end of an evaluation: files, words, and the exit status.

export interface FinishFlags {
  /** Metrics that were asked for by name. */
  readonly metrics?: readonly Metric[];
  readonly skipErrors?: boolean;
  readonly json?: boolean;
}

/**
 * Writes result and report, and shows the result.
 *
 * @throws DataError before anything is written where there is no number: such a report would only look like one
 */
export async function finishEvaluation(
  result: EvaluationResult,
  pictures: ReportPictures,
  folder: ResultFolder,
  flags: FinishFlags,
  io: CliIo,
): Promise<void> {
  if (Object.keys(result.metrics).length === 0) {
    checkComplete(result, flags);
    const [first] = result.missing;
    throw new DataError(
      `nothing could be computed: ${first?.reason ?? "no metric was left"}`,
      first?.hint === undefined ? {} : { hint: first.hint },
    );
  }
  await writeReport(folder.report, result, pictures);
  await writeResult(folder.result, result);
  io.progress.clear();
  if (flags.json === true) io.out(stringifyResult(result));
  else io.out(`${formatResult(result)}\n\nresult ${folder.result}\nreport ${folder.report}`);
}

/**
 * Ends with an error after everything is written, where something that was asked for wasn't done.
 *
 * @throws DataError
 */
export function checkComplete(result: EvaluationResult, { metrics = [], skipErrors }: FinishFlags): void {
  const { pictures, reference, missing } = result;
  const asked = missing.filter(({ metric }) => metrics.includes(metric));
  const [first] = asked;
  if (first !== undefined) {
    const names = asked.map(({ metric }) => METRICS[metric].label).join(", ");
    throw new DataError(
      `not computed: ${names}: ${first.reason}`,
      first.hint === undefined ? {} : { hint: first.hint },
    );
  }
  const unusable = pictures.unusable.length + (reference?.unusable ?? 0);
  if (unusable > 0 && skipErrors !== true) {
    throw new DataError(`${plural(unusable, "picture")} could not be used`, {
      hint: "They are named in the result. --skip-errors accepts that.",
    });
  }
}
