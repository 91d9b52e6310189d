/** `dcae eval`: how good models and samples are. */
import type { Command } from "commander";
import type { CliIo } from "../../cli-io.js";
import { commandGroup } from "../command-group.js";
import { evalCompareCommand } from "./compare.js";
import { evalGenerationCommand } from "./generation.js";
import { evalMergeCommand } from "./merge.js";
import { evalReconstructionCommand } from "./reconstruction.js";
import { evalStatsCommand } from "./stats.js";
import { evalWeightsCommand } from "./weights.js";

export function evalCommand(io: CliIo): Command {
  return commandGroup(
    {
      name: "eval",
      summary: "metrics of reconstructions and samples, by published protocols",
      description:
        "Evaluates autoencoders (rFID, PSNR, SSIM, LPIPS) and generators (FID, sFID, inception score, precision, recall, CMMD) " +
        "as the field's tools do. Each result says by which protocol it was measured, and compares only with results of the same.",
      commands: [
        evalReconstructionCommand,
        evalGenerationCommand,
        evalStatsCommand,
        evalMergeCommand,
        evalCompareCommand,
        evalWeightsCommand,
      ],
      examples: [
        {
          does: "an autoencoder on a folder of pictures",
          command: "dcae eval reconstruction -m ./dc-ae-f64c128 --data imagenet/val --size 512",
        },
        {
          does: "samples against reference statistics",
          command: "dcae eval generation --images samples/ --reference imagenet-512.npz",
        },
        { does: "which network weights are here, and where to get them", command: "dcae eval weights" },
      ],
    },
    io,
  );
}
