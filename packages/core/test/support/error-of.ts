/** The error that `run` throws on purpose. */
import type { DcaeError } from "../../src/errors.js";

export function errorOf<E extends DcaeError>(type: new (message: string) => E, run: () => unknown): E {
  try {
    run();
  } catch (error) {
    if (error instanceof type) return error;
    throw error;
  }
  throw new Error(`nothing was thrown, expected a ${type.name}`);
}
