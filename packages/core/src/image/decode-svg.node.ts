/**
 * SVG to pixels, in a process of its own that is ended when a drawing takes too long (see decode-svg-child.mjs). The process is
 * started for the first drawing, kept for the next ones, and ends by itself soon after the last.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DataError, EngineError, errorMessage } from "../errors.js";
import type { RawPicture } from "./image.js";
import { firstLine, tooSlow } from "./sharp.node.js";

const SCRIPT = new URL("./decode-svg-child.mjs", import.meta.url);
/** How long the process waits for another drawing. */
const IDLE_MS = 5000;

type Answer =
  | { readonly ready: true }
  | ({ readonly data: Uint8Array } & RawPicture)
  | { readonly tooLarge: string }
  | { readonly error: string };

interface Drawer {
  readonly child: ChildProcess;
  /** Settles when it takes requests; fails when it can't be started. */
  readonly ready: Promise<void>;
}

let drawer: Drawer | undefined;
let idle: NodeJS.Timeout | undefined;
/** One drawing at a time: the process is ended because of one, and the others mustn't suffer. */
let last: Promise<unknown> = Promise.resolve();

function start(): Drawer {
  const child = fork(fileURLToPath(SCRIPT), [], {
    serialization: "advanced",
    execArgv: [],
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const failed = (reason: string, cause?: unknown) =>
    new EngineError(`the process that draws SVG can't be started: ${reason}`, { cause });
  const ready = new Promise<void>((resolve, reject) => {
    child.once("message", () => resolve());
    child.once("error", (error) => reject(failed(errorMessage(error), error)));
    child.once("exit", (code, signal) => reject(failed(`it ended with ${signal ?? `exit code ${code}`}`)));
  });
  const started = { child, ready };
  const forget = () => {
    if (drawer === started) drawer = undefined;
  };
  child.on("exit", forget);
  child.on("error", forget);
  return started;
}

/**
 * Draws an SVG at its own size.
 *
 * @throws DataError when it is damaged, larger than `maxPixels`, or isn't drawn within `maxSeconds`; EngineError when the process
 *   that draws can't be started
 */
export function decodeSvg(bytes: Uint8Array, maxPixels: number, maxSeconds: number): Promise<RawPicture> {
  const drawing = last.then(() => draw(bytes, maxPixels, maxSeconds));
  last = drawing.catch(() => undefined);
  return drawing;
}

async function draw(bytes: Uint8Array, maxPixels: number, maxSeconds: number): Promise<RawPicture> {
  clearTimeout(idle);
  drawer ??= start();
  const { child, ready } = drawer;
  child.ref();
  child.channel?.ref();
  try {
    await ready;
    return toPicture(await ask(child, { bytes, maxPixels }, maxSeconds), maxPixels);
  } finally {
    child.unref();
    child.channel?.unref();
    idle = setTimeout(() => child.kill("SIGKILL"), IDLE_MS).unref();
  }
}

function ask(child: ChildProcess, request: { bytes: Uint8Array; maxPixels: number }, maxSeconds: number) {
  return new Promise<Answer>((resolve, reject) => {
    const timer = setTimeout(() => end(() => reject(tooSlow(maxSeconds)), true), 1000 * maxSeconds);
    const onMessage = (answer: Answer) => end(() => resolve(answer));
    const onExit = (code: number | null, signal: string | null) =>
      end(() => reject(new DataError(`drawing it ended with ${signal ?? `exit code ${code}`}`)));
    const onError = (error: Error) => end(() => reject(new DataError(`drawing it failed: ${firstLine(error)}`)), true);
    function end(settle: () => void, isLost = false): void {
      clearTimeout(timer);
      child.off("message", onMessage).off("exit", onExit).off("error", onError);
      if (isLost) {
        if (drawer?.child === child) drawer = undefined;
        child.kill("SIGKILL");
      }
      settle();
    }
    child.on("message", onMessage).on("exit", onExit).on("error", onError);
    child.send(request, (error) => {
      if (error !== null) onError(error);
    });
  });
}

function toPicture(answer: Answer, maxPixels: number): RawPicture {
  if ("data" in answer) return answer;
  if ("tooLarge" in answer) {
    throw new DataError(`${answer.tooLarge} has more pixels than the limit of ${maxPixels}`, {
      hint: "If the file can be trusted, raise maxPixels.",
    });
  }
  throw new DataError(`can't be read as a picture: ${"error" in answer ? firstLine(answer.error) : "no answer"}`);
}
