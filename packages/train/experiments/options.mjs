// What the experiments' command lines have in common.
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** @param otherwise updates where none are given */
export function parseOptions(otherwise = 400) {
  const { values } = parseArgs({
    options: {
      out: { type: "string" },
      threads: { type: "string" },
      steps: { type: "string" },
      network: { type: "string" },
    },
  });
  const count = (text, none) => {
    const value = text === undefined ? none : Number(text);
    if (Number.isInteger(value) && value >= 1) return value;
    throw new Error(`"${text}" isn't a positive integer`);
  };
  return {
    out: values.out ?? "runs/miniature",
    threads: count(values.threads, availableParallelism()),
    steps: count(values.steps, otherwise),
    /** Path of a network, for experiments with a perceptual loss. */
    network: values.network,
  };
}

/** A file beside the scripts that is kept with them. */
export function resultFile(name) {
  const folder = new URL("results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  return fileURLToPath(new URL(name, folder));
}
