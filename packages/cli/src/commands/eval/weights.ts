/** `dcae eval weights`: which files of the metrics' networks are here, and where the others come from. */
import { inspectNetworks, METRICS } from "@dcae/eval";
import { type InspectedFile, metricsFolder, searchFolders } from "@dcae/eval/internal";
import { Command } from "commander";
import type { CliIo } from "../../cli-io.js";
import { type NetworkFlags, networkOptions } from "../../evaluation/evaluation-options.js";
import { addExamples } from "../command-group.js";

interface EvalWeightsFlags extends Pick<NetworkFlags, "weights"> {
  readonly json?: boolean;
}

export function evalWeightsCommand(io: CliIo): Command {
  const command = new Command("weights")
    .summary("the weights that metrics need: which are here, and where to get the others")
    .description(
      "Looks for the published weight files of the metrics' networks, checks them by SHA-256, and says where to download " +
        "those that are missing. Nothing is downloaded: the files belong to their authors, and their licenses are for you to " +
        "accept. The files are taken as they are; nothing in them is executed.",
    )
    .option("--weights <dir>", "look into this folder first")
    .option("--json", "print JSON");
  addExamples(command, [
    { does: "what is here", command: "dcae eval weights" },
    { does: "what a folder has", command: "dcae eval weights --weights ./metrics" },
  ]);
  return command.action((flags: EvalWeightsFlags) => listWeights(flags, io));
}

async function listWeights(flags: EvalWeightsFlags, io: CliIo): Promise<void> {
  io.progress.show({ label: "hashing", done: 0, total: 1 });
  const options = networkOptions(flags);
  const files = await inspectNetworks(options);
  io.progress.clear();
  if (flags.json === true) return io.json({ folders: searchFolders(options), files });
  const blocks = files.map(describe);
  const missing = files.some(({ path }) => path === undefined);
  if (missing) {
    blocks.push(
      `Put downloads into ${metricsFolder()} under the names above, or anywhere else and set the variable, or name their\n` +
        `folder with --weights or DCAE_METRICS. Looked in ${searchFolders(options).join(", ")}.`,
    );
  }
  io.out(blocks.join("\n\n"));
}

function describe({ role, metrics, name, variable, url, path, published }: InspectedFile): string {
  const title = `${role} (${metrics.map((metric) => METRICS[metric].label).join(", ")})`;
  if (path === undefined) return `${title}\n  missing: ${name}, or set ${variable}\n  ${url}`;
  if (published === true) return `${title}\n  here, and the published file: ${path}`;
  const converted = path.endsWith(".safetensors");
  return `${title}\n  here: ${path}\n  ${converted ? "converted, so that its hash says nothing" : "NOT the published file; it is refused unless --unverified-weights is given"}`;
}
