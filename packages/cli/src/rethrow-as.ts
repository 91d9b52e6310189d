/** An error of the project under another type, with words in front: what was a wrong name inside is a wrong option here. */
import { DcaeError } from "@dcae/core";
import type { DcaeErrorOptions } from "@dcae/core/graph";

type ErrorType = new (message: string, options?: DcaeErrorOptions) => DcaeError;

export function asError(ErrorClass: ErrorType, prefix: string, error: DcaeError): DcaeError {
  return new ErrorClass(`${prefix}${error.message}`, {
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}

/** The result of `work`; its errors of the project as `ErrorClass`, all others as they are. */
export function rethrowAs<T>(ErrorClass: ErrorType, prefix: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof DcaeError ? asError(ErrorClass, prefix, error) : error;
  }
}
