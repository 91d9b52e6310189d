/**
 * A measurement in a process of its own: the only honest peak memory, a clean heap, and a case that runs out of memory
 * takes nothing with it.
 */
import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { EngineError } from "@dcae/core";
import type { BenchMeasurement } from "./bench-result.js";
import type { BenchTask } from "./run-bench-case.node.js";

/** Stands beside the bundle that this code is in. */
const CHILD = new URL("./bench-child.js", import.meta.url);

interface Answer {
  readonly measurement?: BenchMeasurement;
  readonly problem?: string;
}

export interface IsolatedOptions {
  readonly signal?: AbortSignal | undefined;
  /** For tests: another script that speaks the protocol of bench-child. */
  readonly child?: URL | undefined;
}

/**
 * Runs a task in a child process.
 *
 * @throws EngineError with the child's problem, or how it ended
 */
export function runIsolated(
  task: BenchTask,
  { signal, child = CHILD }: IsolatedOptions = {},
): Promise<BenchMeasurement> {
  const script = fileURLToPath(child);
  if (!existsSync(script)) {
    return Promise.reject(
      new EngineError(`${script}: the script of isolated measurements isn't there`, {
        hint: "Build the package, or measure without isolation.",
      }),
    );
  }
  return new Promise((resolve, reject) => {
    const started = fork(script, { execArgv: [], stdio: ["ignore", "ignore", "ignore", "ipc"] });
    let answer: Answer | undefined;
    const stop = () => started.kill("SIGKILL");
    signal?.addEventListener("abort", stop, { once: true });
    started.once("message", (message) => {
      answer = message as Answer;
    });
    started.once("error", (error) => reject(new EngineError(`a measurement couldn't start: ${error.message}`)));
    started.once("exit", (code, killedBy) => {
      signal?.removeEventListener("abort", stop);
      if (signal?.aborted === true) reject(signal.reason instanceof Error ? signal.reason : new EngineError("stopped"));
      else if (answer?.measurement !== undefined) resolve(answer.measurement);
      else reject(new EngineError(answer?.problem ?? ending(code, killedBy)));
    });
    started.send(task);
  });
}

function ending(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === "SIGKILL") return "the process was killed, most likely because memory ran out";
  return signal === null
    ? `the process ended with status ${code} and without a result`
    : `the process ended by ${signal}`;
}
