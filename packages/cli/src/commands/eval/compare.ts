/** `dcae eval compare`: results side by side, where that means something. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "@dcae/core";
import { formatTable } from "@dcae/core/internal";
import {
  type ComparedMetric,
  compareResults,
  describeProtocol,
  type EvaluationResult,
  formatComparison,
  readResult,
} from "@dcae/eval";
import { stringifyResult } from "@dcae/eval/internal";
import { Command } from "commander";
import { type CliIo, plural } from "../../cli-io.js";
import { addExamples } from "../command-group.js";

interface EvalCompareFlags {
  readonly json?: boolean;
}

export function evalCompareCommand(io: CliIo): Command {
  const command = new Command("compare")
    .summary("results side by side, where that means something")
    .description(
      "Compares results metric by metric with the first one: the difference and, on the same pictures, its standard error. " +
        "Numbers of different protocols, pictures, references or network weights are refused, with the reason, and the exit " +
        "status is then 1.",
    )
    .argument("<results...>", "result.json files, or the folders that hold them")
    .option("--json", "print the comparison as JSON");
  addExamples(command, [
    { does: "two models", command: "dcae eval compare evaluation/f32/result.json evaluation/f64/result.json" },
    { does: "several, by their folders", command: "dcae eval compare results/step-*/" },
  ]);
  return command.action((paths: string[], flags: EvalCompareFlags) => compare(paths, flags, io));
}

async function compare(paths: readonly string[], flags: EvalCompareFlags, io: CliIo): Promise<void> {
  const results: EvaluationResult[] = [];
  for (const path of paths) results.push(await readResult(await resultPath(path)));
  const compared = compareResults(results);
  if (flags.json === true) io.out(stringifyResult({ results: paths, metrics: compared }));
  else
    io.out(
      [
        ...paths.map((path, i) => title(path, results[i] as EvaluationResult)),
        "",
        formatComparison(compared, paths),
        ...protocols(results),
      ].join("\n"),
    );
  const refused = countRefused(compared);
  if (refused > 0)
    throw new DataError(`${plural(refused, "value")} can't be compared`, { hint: "The reasons are above." });
}

async function resultPath(path: string): Promise<string> {
  const status = await stat(path).catch(() => undefined);
  return status?.isDirectory() === true ? join(path, "result.json") : path;
}

function title(path: string, { subject, kind, pictures, date }: EvaluationResult): string {
  return `${path}: ${subject}, ${kind}, ${plural(pictures.count, "picture")} of ${pictures.source}, ${date.slice(0, 10)}`;
}

/** The protocol where all have the same; where they differ, the reasons stand in the comparison. */
function protocols(results: readonly EvaluationResult[]): string[] {
  const texts = results.map(({ protocol, kind }) => formatTable(describeProtocol(protocol, kind)).join("\n"));
  const [first = ""] = texts;
  return texts.every((text) => text === first) ? ["", first] : [];
}

function countRefused(compared: readonly ComparedMetric[]): number {
  return compared.flatMap(({ values }) => values.filter(({ refused }) => refused !== undefined)).length;
}
