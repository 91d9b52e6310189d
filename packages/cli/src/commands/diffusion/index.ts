/** `dcae diffusion`: training of diffusion models; `sample` and `denoise`, which use them, are commands of their own. */
import type { Command } from "commander";
import type { CliIo } from "../../cli-io.js";
import { commandGroup } from "../command-group.js";
import { diffusionTrainCommand } from "./train.js";

export function diffusionCommand(io: CliIo): Command {
  return commandGroup(
    {
      name: "diffusion",
      summary: "diffusion models on latents",
      description:
        "Trains class-conditional diffusion models on the latents of an autoencoder (see `dcae latents`, `dcae sample`).",
      commands: [diffusionTrainCommand],
      examples: [{ does: "what can be trained", command: "dcae diffusion train --list" }],
    },
    io,
  );
}
