/** The end of an evaluation: files, words, and the exit status. */
import { DataError } from "@dcae/core";
import {
  type EvaluationResult,
  formatResult,
  METRICS,
  type Metric,
  type ReportPictures,
  stringifyResult,
  writeReport,
  writeResult,
} from "@dcae/eval";
import type { CliIo } from "../cli-io.js";
import type { ResultFolder } from "./result-folder.js";

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
    throw new DataError(`${unusable} picture${unusable === 1 ? "" : "s"} could not be used`, {
      hint: "They are named in the result. --skip-errors accepts that.",
    });
  }
}
