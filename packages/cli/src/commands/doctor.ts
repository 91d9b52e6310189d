/** `dcae doctor`: what runs on this machine, why not, and what to install. */
import { EngineError } from "@dcae/core";
import { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { type DeviceDiagnosis, type Diagnosis, diagnose } from "../diagnose.js";
import { formatBytes, plural } from "../format-number.js";
import { addExamples } from "./command-group.js";

export function doctorCommand(io: CliIo): Command {
  const command = new Command("doctor")
    .summary("what runs on this machine")
    .description(
      "Looks at Node, ONNX Runtime and its devices, picture support, memory and the hub's cache, and says what to install\n" +
        "for what doesn't work. Exits with 1 when models can't run at all. Makes no request.",
    )
    .option("--json", "print JSON");
  addExamples(command, [
    { does: "for people", command: "dcae doctor" },
    { does: "for a bug report", command: "dcae doctor --json > doctor.json" },
  ]);
  return command.action(async (flags: { readonly json?: boolean }) => {
    const diagnosis = await diagnose();
    io.out(flags.json === true ? JSON.stringify(diagnosis, undefined, 2) : formatDiagnosis(diagnosis));
    if (diagnosis.blockers.length > 0) {
      throw new EngineError(`models can't run here: ${diagnosis.blockers.join("; ")}`);
    }
  });
}

/** The text of a diagnosis. */
export function formatDiagnosis({ version, node, machine, runtime, pictures, hub }: Diagnosis): string {
  const lines = [
    `dcae ${version}`,
    `Node ${node.version}${node.ok ? "" : `: too old, ${node.needed} or newer is needed`}`,
    `${machine.platform} ${machine.arch}, ${plural(machine.cores, "core")}, ` +
      `${formatBytes(machine.availableBytes)} of ${formatBytes(machine.memoryBytes)} memory available`,
    "",
    runtime.version === undefined ? `ONNX Runtime: ${runtime.problem}` : `ONNX Runtime ${runtime.version}, devices:`,
    ...runtime.devices.map(formatDevice),
    "",
    pictures.problem ??
      `Pictures: sharp ${pictures.sharp}, libvips ${pictures.libvips}, reads ${pictures.formats?.join(", ")}`,
    "",
    `Hub: ${hub.endpoint}${hub.offline ? ", offline mode is on" : ""}${hub.hasToken ? ", HF_TOKEN is set" : ""}`,
    `  cache ${hub.cache}: ${
      hub.freeBytes === undefined
        ? "doesn't exist yet"
        : `${plural(hub.models, "model")}, ${formatBytes(hub.freeBytes)} free`
    }`,
  ];
  return lines.join("\n");
}

function formatDevice({ device, works, problem, hint }: DeviceDiagnosis): string {
  if (works) return `  ${device.padEnd(9)} works`;
  return `  ${device.padEnd(9)} no: ${problem}\n${" ".repeat(12)}${hint}`;
}
