/**
 * All commands, in the order of `dcae --help`. A new command is a file in this folder and a line in this list; a group of
 * commands is a folder, and a list of its own below (see `commandGroup`).
 */
import type { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { benchAutoencoderCommand } from "./bench/autoencoder.js";
import { benchDiffusionCommand } from "./bench/diffusion.js";
import { commandGroup } from "./command-group.js";
import { convertCommand } from "./convert.js";
import { decodeCommand } from "./decode.js";
import { demoCommand } from "./demo.js";
import { denoiseCommand } from "./denoise.js";
import { diffusionExportCommand } from "./diffusion/export.js";
import { diffusionTrainCommand } from "./diffusion/train.js";
import { distillCommand } from "./distill.js";
import { doctorCommand } from "./doctor.js";
import { encodeCommand } from "./encode.js";
import { evalCompareCommand } from "./eval/compare.js";
import { evalGenerationCommand } from "./eval/generation.js";
import { evalReconstructionCommand } from "./eval/reconstruction.js";
import { evalMergeCommand, evalStatsCommand } from "./eval/stats.js";
import { evalWeightsCommand } from "./eval/weights.js";
import { exportCommand } from "./export.js";
import { finetuneCommand } from "./finetune.js";
import { infoCommand } from "./info.js";
import { initCommand } from "./init.js";
import { latentsCommand } from "./latents.js";
import { prepareCommand } from "./prepare.js";
import { reconstructCommand } from "./reconstruct.js";
import { sampleCommand } from "./sample.js";
import { scenesCommand } from "./scenes.js";
import { trainCommand } from "./train.js";

export const COMMANDS: readonly ((io: CliIo) => Command)[] = [
  infoCommand,
  encodeCommand,
  decodeCommand,
  reconstructCommand,
  initCommand,
  convertCommand,
  exportCommand,
  scenesCommand,
  prepareCommand,
  trainCommand,
  finetuneCommand,
  distillCommand,
  latentsCommand,
  diffusionCommand,
  sampleCommand,
  denoiseCommand,
  evalCommand,
  benchCommand,
  doctorCommand,
  demoCommand,
];

function benchCommand(io: CliIo): Command {
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

function diffusionCommand(io: CliIo): Command {
  return commandGroup(
    {
      name: "diffusion",
      summary: "diffusion models on latents",
      description:
        "Trains class-conditional diffusion models on the latents of an autoencoder (see `dcae latents`, `dcae sample`), and exports them.",
      commands: [diffusionTrainCommand, diffusionExportCommand],
      examples: [{ does: "what can be trained", command: "dcae diffusion train --list" }],
    },
    io,
  );
}

function evalCommand(io: CliIo): Command {
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
