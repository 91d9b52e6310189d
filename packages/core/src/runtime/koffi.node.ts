/** koffi, which calls native libraries: optional, for MPI and for sessions that update their state without copies. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { EngineError, errorMessage } from "../errors.js";

/** URL of its main module, beside this package or where the command was called; undefined where it isn't installed. */
export function koffiUrl(): string | undefined {
  for (const from of [import.meta.url, `${process.cwd()}/`]) {
    try {
      return pathToFileURL(createRequire(from).resolve("koffi")).href;
    } catch {
      // Not there: the next place.
    }
  }
  return undefined;
}

/**
 * @param find where it lies; undefined where it isn't installed
 * @throws EngineError where it isn't installed or doesn't load
 */
export async function loadKoffi<T>(find: () => string | undefined = koffiUrl): Promise<T> {
  const hint = "Install it: npm install koffi.";
  const url = find();
  try {
    if (url === undefined) throw new Error("it isn't installed");
    const here = await import(url);
    return here.default ?? here;
  } catch (error) {
    const message = errorMessage(error).split("\n")[0];
    throw new EngineError(`koffi, through which MPI is called, doesn't load: ${message}`, { hint, cause: error });
  }
}
