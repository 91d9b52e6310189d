/** `dcae bench`: what is fast here, and how fast. A new benchmark is a file in this folder and a line in this list. */
import type { Command } from "commander";
import type { CliIo } from "../../cli-io.js";
import { commandGroup } from "../command-group.js";
import { benchAutoencoderCommand } from "./autoencoder.js";
import { benchDiffusionCommand } from "./diffusion.js";

export function benchCommand(io: CliIo): Command {
  return commandGroup(
    {
      name: "bench",
      summary: "throughput on this machine",
      description:
        "Measures throughput: warm-up, median, spread, peak memory, multiply-accumulates, and the share of what this " +
        "machine reaches in plain matrix products. Results as a table, and as JSON for other programs.",
      commands: [benchAutoencoderCommand, benchDiffusionCommand],
      examples: [{ does: "encode and decode of DC-AE and SD-VAE", command: "dcae bench autoencoder --size 256" }],
    },
    io,
  );
}
