/** ONNX Runtime's native library for Node, which a machine can lack: npm leaves an optional dependency out when its script fails. */
import { EngineError, errorMessage } from "../errors.js";
import { quietRuntime } from "./quiet-runtime.node.js";

/** Installs without the download of CUDA libraries, which npm before version 12 does on Linux on x64; elsewhere there is none. */
const INSTALL_LINE = process.platform === "linux" ? "ONNXRUNTIME_NODE_INSTALL=skip npm install" : "npm install";

/** What to do where the library doesn't load although it is there. */
export const REINSTALL = `Remove node_modules/onnxruntime-node and install it again: ${INSTALL_LINE}`;

/** What onnxruntime-node is published for. */
const BUILDS = "Linux with glibc (x64, arm64), macOS (arm64) and Windows (x64, arm64)";

/** Errors that are about the library, whatever the device. */
const libraryErrors = new WeakSet<Error>();

export function isLibraryError(error: unknown): error is EngineError {
  return error instanceof Error && libraryErrors.has(error);
}

/** The error of a library that can't be loaded, with what to type; undefined for errors of another kind. */
export function libraryError(error: unknown): EngineError | undefined {
  const described = describe(error);
  if (described === undefined) return undefined;
  const [message, hint] = described;
  const result = new EngineError(message, { cause: error, hint });
  libraryErrors.add(result);
  return result;
}

function describe(error: unknown): readonly [message: string, hint: string] | undefined {
  const [message = ""] = errorMessage(error).split("\n", 1);
  if (/^Cannot find (package|module) 'onnxruntime-node'/.test(message)) {
    return [
      "onnxruntime-node isn't installed: npm leaves it out where its install script can't download CUDA libraries",
      `The CPU needs none of them: ${INSTALL_LINE}`,
    ];
  }
  if (/^Cannot find module '[^']*onnxruntime_binding\.node'/.test(message)) {
    const system = `${process.platform} on ${process.arch}`;
    return [`onnxruntime-node has no library for ${system}`, `It is built for ${BUILDS}. If this is one: ${REINSTALL}`];
  }
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ERR_DLOPEN_FAILED") return undefined;
  return [
    `onnxruntime-node's library doesn't load: ${message}`,
    `It is built for ${BUILDS}. If this is one: ${REINSTALL}`,
  ];
}

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
    throw (
      libraryError(error) ??
      new EngineError(`onnxruntime-node can't be loaded: ${errorMessage(error)}`, { cause: error })
    );
  }
}
