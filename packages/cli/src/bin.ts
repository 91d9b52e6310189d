#!/usr/bin/env node
/** The `dcae` program: `run` with this process's streams and signals. */
import { createCliIo } from "./cli-io.js";
import { Interrupted, interruptedStatus, UsageError } from "./errors.js";
import { run } from "./run.js";

/** Windows has no SIGUSR1. Elsewhere Node would open its debugger at it. */
const SIGNALS: readonly NodeJS.Signals[] = [
  ...(["SIGINT", "SIGTERM", "SIGHUP"] as const),
  ...(process.platform === "win32" ? [] : (["SIGUSR1"] as const)),
];

/** A reader that has seen enough (`dcae train ... 2>&1 | head -1`), and a terminal that was closed. */
const READER_IS_GONE = new Set(["EPIPE", "EIO", "ERR_STREAM_DESTROYED"]);

// That is no error: work goes on, and what it says is heard by nobody.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (!READER_IS_GONE.has(error.code ?? "")) throw error;
  });
}

const controller = new AbortController();
for (const signal of SIGNALS) {
  process.on(signal, () => {
    if (controller.signal.aborted) endBy(signal); // the user insists
    controller.abort(new Interrupted(signal));
  });
}

const io = createCliIo({
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  isTerminal: process.stderr.isTTY === true,
  columns: () => process.stderr.columns ?? 80,
  helpColumns: () => process.stdout.columns ?? process.stderr.columns ?? 80,
  readStdin,
  writeStdout,
  signal: controller.signal,
});

process.exitCode = await run(process.argv.slice(2), io);
if (controller.signal.reason instanceof Interrupted) endBy(controller.signal.reason.signal);

async function readStdin(): Promise<Uint8Array> {
  if (process.stdin.isTTY) {
    throw new UsageError("-: stdin is a terminal", { hint: "Send a file, as in `dcae encode - < cat.jpg`." });
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function writeStdout(bytes: Uint8Array): Promise<void> {
  if (process.stdout.isTTY) {
    throw new UsageError("--out -: stdout is a terminal", { hint: "Send it to a file, as in `... -o - > cat.npy`." });
  }
  // A reader that is gone has its listener above.
  return new Promise((resolve) => process.stdout.write(bytes, () => resolve()));
}

/**
 * Ends this process by the signal itself, as shells expect, so that a loop around `dcae` stops too. It also doesn't wait
 * for a computation that goes on in another thread, which `process.exit` does. SIGUSR1 asks for a status instead.
 */
function endBy(signal: NodeJS.Signals): void {
  for (const name of SIGNALS) process.removeAllListeners(name);
  if (signal !== "SIGUSR1") process.kill(process.pid, signal);
  // The first process of a container isn't ended by its own signals.
  process.exit(interruptedStatus(signal));
}
