/** The engine that a training asks for. */
import { createEngine, type Device, type Engine } from "@dcae/core";
import { createTfjsEngine, TFJS_BACKENDS, type TfjsBackend } from "@dcae/train/tfjs";
import { NODE_DEVICES } from "../options/engine-options.js";
import { UsageError } from "../usage-error.js";
import type { TrainingFlags } from "./training-options.js";

type EngineFlags = Pick<TrainingFlags, "engine" | "device" | "threads">;

const DEVICES: Readonly<Record<TrainingFlags["engine"], readonly string[]>> = {
  onnx: ["auto", ...NODE_DEVICES],
  tfjs: ["auto", ...TFJS_BACKENDS],
};

/** @throws UsageError for a device that the engine doesn't have, and for options without effect */
export function checkEngineFlags({ engine, device, threads }: EngineFlags): void {
  if (!DEVICES[engine].includes(device)) {
    throw new UsageError(`--device ${device}: the ${engine} engine has no such device`, {
      hint: `Use one of ${DEVICES[engine].join(", ")}.`,
    });
  }
  if (engine === "tfjs" && threads !== undefined) {
    throw new UsageError("--threads has no effect on the tfjs engine");
  }
}

/** @throws EngineError when it doesn't start here; it says what to install */
export function openTrainingEngine({ engine, device, threads }: EngineFlags): Promise<Engine> {
  if (engine === "tfjs") return createTfjsEngine({ backend: device as TfjsBackend | "auto" });
  const options = { device: device as Device | "auto" };
  return createEngine(threads === undefined ? options : { ...options, threads });
}
