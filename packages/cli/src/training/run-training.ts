/** Carries out a training: says what will train, trains, says what came out. */
import { formatPlan, type PhaseResult, planTraining, trainAutoencoder } from "@dcae/train";
import type { CliIo } from "../cli-io.js";
import { formatCount } from "../format-number.js";
import { type HubFlags, openOptions } from "../options/model-options.js";
import type { ChosenTraining } from "./choose-training.js";
import { dryRun } from "./dry-run.js";
import { checkEngineFlags, describeEngine, openTrainingEngine, takesOptimized } from "./training-engine.js";
import type { TrainingFlags } from "./training-options.js";
import { trainingProgress } from "./training-progress.js";

/**
 * @param phases names, all if undefined
 * @throws the reason of `io.signal` when a signal stopped the run, after it was saved
 */
export async function runTraining(
  { config, directory }: ChosenTraining,
  phases: readonly string[] | undefined,
  flags: TrainingFlags,
  io: CliIo,
): Promise<void> {
  checkEngineFlags(flags);
  const plans = planTraining(config, phases, takesOptimized(flags));
  if (flags.dryRun === true) return dryRun({ config, directory }, plans, flags, io);
  io.note(`${config.name}, in ${directory}`);
  for (const plan of plans) io.note(formatPlan(plan));
  const engine = await openTrainingEngine(flags);
  const onAbort = () => io.note("dcae: stopping after this update; again to stop at once, without saving");
  io.signal.addEventListener("abort", onAbort, { once: true });
  let results: PhaseResult[];
  try {
    const computedBy = describeEngine(engine, flags);
    io.note(`engine: ${computedBy}`);
    results = await trainAutoencoder({
      config,
      directory,
      engine,
      computedBy,
      phases,
      open: await openOptions(hubFlags(flags), io),
      resume: flags.resume ?? false,
      signal: io.signal,
      progress: ({ name }) => trainingProgress(name, io),
      onMessage: (text) => io.note(text),
    });
  } finally {
    io.signal.removeEventListener("abort", onAbort);
    io.progress.clear();
    await engine.dispose();
  }
  if (flags.json === true) {
    io.out(JSON.stringify({ training: config.name, directory, phases: results }, undefined, 2));
  } else {
    for (const result of results) io.out(formatResult(result));
  }
  if (!io.signal.aborted) return;
  io.note(`dcae: go on with \`dcae train --resume --out ${directory}\``);
  throw io.signal.reason;
}

/** How the hub is asked; what is asked for stands in the training. */
function hubFlags({ offline, cacheDir }: TrainingFlags): HubFlags {
  return { ...(offline === undefined ? {} : { offline }), ...(cacheDir === undefined ? {} : { cacheDir }) };
}

function formatResult({ phase, status, step, checkpoint, model, best }: PhaseResult): string {
  const at = `${phase}: ${status} after update ${formatCount(step)}`;
  if (status === "stopped") return `${at}, saved as ${checkpoint ?? "nothing: it had not begun"}`;
  return `${at}, model in ${model}${best === null ? "" : `, best score ${best.score.toPrecision(5)} at update ${formatCount(best.step)}`}`;
}
