/** The version of the native runtime, for reports about an installation. */
import { EngineError, errorMessage } from "../errors.js";
import { quietRuntime } from "./quiet-runtime.node.js";

/**
 * Version of onnxruntime-node.
 *
 * @throws EngineError when its native library doesn't load on this machine
 */
export async function runtimeVersion(): Promise<string> {
  await quietRuntime();
  try {
    const { env } = await import("onnxruntime-node");
    return env.versions.node ?? env.versions.common;
  } catch (error) {
    throw new EngineError(`onnxruntime-node can't be loaded: ${errorMessage(error)}`, {
      cause: error,
      hint: "Reinstall it for this platform: npm install onnxruntime-node",
    });
  }
}
