/**
 * All commands, in the order of `dcae --help`. A new command is a file in this folder and a line in this list; a group of
 * commands is a folder with such a list of its own (see `commandGroup`).
 */
import type { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { benchCommand } from "./bench/index.js";
import { convertCommand } from "./convert.js";
import { decodeCommand } from "./decode.js";
import { demoCommand } from "./demo.js";
import { denoiseCommand } from "./denoise.js";
import { diffusionCommand } from "./diffusion/index.js";
import { doctorCommand } from "./doctor.js";
import { encodeCommand } from "./encode.js";
import { evalCommand } from "./eval/index.js";
import { exportCommand } from "./export.js";
import { finetuneCommand } from "./finetune.js";
import { infoCommand } from "./info.js";
import { initCommand } from "./init.js";
import { latentsCommand } from "./latents.js";
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
  trainCommand,
  finetuneCommand,
  latentsCommand,
  diffusionCommand,
  sampleCommand,
  denoiseCommand,
  evalCommand,
  benchCommand,
  doctorCommand,
  demoCommand,
];
