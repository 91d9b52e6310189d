/**
 * Switches off what ONNX Runtime collects about its users, before its library is loaded (Node).
 *
 * From 1.29 on its official builds collect by default: on Linux and macOS an identifier of the machine, a database and logs in
 * shared folders, and uploads; on Windows events of the system's tracing. Both decide once, when the library initializes, by
 * variables of the process's own environment. Source: docs/Privacy.md, core/platform/telemetry_environment.h and
 * core/platform/windows/telemetry.cc of onnxruntime.
 */
import { isMainThread } from "node:worker_threads";
import { EngineError } from "../errors.js";

/** The runtime's own switch on Linux and macOS, and ours everywhere: 0 leaves telemetry on. */
const SWITCH = "ORT_DISABLE_TELEMETRY";
/** On Windows the runtime doesn't read that one; with this one it registers no provider of events. It has no other effect. */
const WINDOWS_SWITCH = "ORT_RUNNING_UNIT_TESTS";

type Environment = Record<string, string | undefined>;

/** Variables that have to be set so that nothing is collected; none where the user wants it (`ORT_DISABLE_TELEMETRY=0`). */
export function quietVariables(
  environment: Environment,
  platform: NodeJS.Platform = process.platform,
): Readonly<Record<string, string>> {
  const wish = environment[SWITCH]?.trim().toLowerCase() ?? "";
  if (["0", "false", "no", "off", "n"].includes(wish)) return {};
  return { [SWITCH]: "1", ...(platform === "win32" ? { [WINDOWS_SWITCH]: "1" } : {}) };
}

function isQuiet(environment: Environment): boolean {
  return Object.entries(quietVariables(environment)).every(([name, value]) => environment[name] === value);
}

/**
 * Call this before onnxruntime-node is loaded, in any thread.
 *
 * @returns undefined when it is done. In a worker thread `process.env` is a copy that the library doesn't see; there a promise,
 *   until the main thread has done it.
 * @throws EngineError (by the promise) where the process's environment can't be changed
 */
export function quietRuntime(): Promise<void> | undefined {
  if (!isMainThread) return quietFromWorker();
  Object.assign(process.env, quietVariables(process.env));
  return undefined;
}

async function quietFromWorker(): Promise<void> {
  // The worker's copy may hold what its creator chose for it: a wish to have telemetry counts wherever it stands.
  const wanted = quietVariables(process.env);
  if (Object.keys(wanted).length === 0 || isQuiet(realEnvironment())) return;
  try {
    await inMainThread(`Object.assign(process.env, ${JSON.stringify(wanted)}), undefined`);
  } catch (cause) {
    throw unreachable(cause);
  }
  if (!isQuiet(realEnvironment())) throw unreachable(undefined);
}

/** What the types of Node 20 lack of `process.report`. */
interface Report {
  excludeNetwork: boolean;
  getReport(): { readonly environmentVariables?: Environment };
}

/** The environment as native libraries see it, from any thread. */
function realEnvironment(): Environment {
  const report = process.report as unknown as Report;
  const { excludeNetwork } = report;
  // Otherwise a report looks up the names of the other ends of open connections.
  report.excludeNetwork = true;
  try {
    return report.getReport().environmentVariables ?? {};
  } finally {
    report.excludeNetwork = excludeNetwork;
  }
}

/** Runs a line in the main thread, also while that is computing or waiting: what Node offers for it is the inspector. */
async function inMainThread(expression: string): Promise<void> {
  const { Session } = await import("node:inspector/promises");
  const session = new Session();
  session.connectToMainThread();
  // An answer of the inspector that is awaited doesn't keep this thread's event loop alive.
  const waiting = setInterval(() => undefined, 1000);
  try {
    const { exceptionDetails } = await session.post("Runtime.evaluate", { expression });
    if (exceptionDetails !== undefined) throw new EngineError(exceptionDetails.text);
  } finally {
    clearInterval(waiting);
    session.disconnect();
  }
}

function unreachable(cause: unknown): EngineError {
  return new EngineError("ONNX Runtime's telemetry can't be switched off from this worker thread", {
    cause,
    hint: `Start the process with ${SWITCH}=1${process.platform === "win32" ? ` and ${WINDOWS_SWITCH}=1` : ""}.`,
  });
}
