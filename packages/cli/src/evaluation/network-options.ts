/** The options that say where the weights of the metric networks are. */
import type { FindNetworkOptions } from "@dcae/eval";
import type { Command } from "commander";

export interface NetworkFlags {
  readonly weights?: string;
  readonly unverifiedWeights?: boolean;
}

export function addNetworkOptions(command: Command): Command {
  return command
    .option("--weights <dir>", "folder with the weights of the metrics' networks (see `dcae eval weights`)")
    .option("--unverified-weights", "take weight files of these networks even if they aren't the published ones");
}

export function networkOptions({ weights, unverifiedWeights }: NetworkFlags): FindNetworkOptions {
  return { folder: weights, ...(unverifiedWeights === true ? { verify: "skip" } : {}) };
}
