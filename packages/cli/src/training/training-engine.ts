/** The engine that a training asks for. */
import { availableParallelism } from "node:os";
import { createEngine, type Device, type Engine } from "@dcae/core";
import { createTfjsEngine, TFJS_BACKENDS, type TfjsBackend } from "@dcae/train/tfjs";
import { plural } from "../format-number.js";
import { NODE_DEVICES } from "../options/engine-options.js";
import { UsageError } from "../usage-error.js";
import type { TrainingEngineFlags } from "./training-options.js";

const DEVICES: Readonly<Record<TrainingEngineFlags["engine"], readonly string[]>> = {
  onnx: ["auto", ...NODE_DEVICES],
  tfjs: ["auto", ...TFJS_BACKENDS],
};

/** @throws UsageError for a device that the engine doesn't have, and for options without effect */
export function checkEngineFlags({ engine, device, threads, dtype }: TrainingEngineFlags): void {
  if (!DEVICES[engine].includes(device)) {
    throw new UsageError(`--device ${device}: the ${engine} engine has no such device`, {
      hint: `Use one of ${DEVICES[engine].join(", ")}.`,
    });
  }
  if (engine === "tfjs" && threads !== undefined) {
    throw new UsageError("--threads has no effect on the tfjs engine");
  }
  if (dtype !== "float32") {
    throw new UsageError(`--dtype ${dtype}: training computes in float32`, {
      hint:
        dtype === "int8"
          ? "Steps of 8 bits are too coarse for gradients; use int8 with the trained model."
          : "ONNX Runtime only converts float16 back and forth on a CPU, TensorFlow.js has no such tensors, and for GPUs " +
            "nobody has built it yet.",
    });
  }
}

/** Whether that engine takes programs in the form that is faster on a CPU. */
export function takesOptimized({ engine, device }: TrainingEngineFlags): boolean {
  return engine === "onnx" && (device === "cpu" || device === "auto");
}

/** What decides the last bits of a run beside its settings. */
export function describeEngine({ name }: Engine, { engine, threads }: TrainingEngineFlags): string {
  if (engine === "tfjs") return name;
  return `${name}, ${plural(threads ?? availableParallelism(), "thread")}`;
}

/** @throws EngineError when it doesn't start here; it says what to install */
export function openTrainingEngine({ engine, device, threads }: TrainingEngineFlags): Promise<Engine> {
  if (engine === "tfjs") return createTfjsEngine({ backend: device as TfjsBackend | "auto" });
  const options = { device: device as Device | "auto" };
  return createEngine(threads === undefined ? options : { ...options, threads });
}
