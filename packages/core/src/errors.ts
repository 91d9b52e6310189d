/**
 * The typed errors of the project.
 *
 * Each error says what was being done (the op, file or field), what was expected, what was found, and, where there is
 * one, the next step to take (`hint`). The CLI prints `message` (and `hint`) on one line and never a stack.
 */

/** Options every error of this project takes. */
export interface DcaeErrorOptions {
  /** The next step for the reader, a full sentence without a trailing line break. */
  readonly hint?: string;
  /** The lower-level error this one explains. */
  readonly cause?: unknown;
}

/** Base class: catch this to catch everything that the packages throw on purpose. */
export class DcaeError extends Error {
  // A text of its own in each class: names of classes don't survive minification.
  override readonly name: string = "DcaeError";
  readonly hint: string | undefined;

  constructor(message: string, options: DcaeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.hint = options.hint;
  }
}

/** Shapes or dtypes that an op, a block or a model can't take. */
export class ShapeError extends DcaeError {
  override readonly name: string = "ShapeError";
}

/** A configuration or option that is invalid, unknown, contradictory or without effect. */
export class ConfigError extends DcaeError {
  override readonly name: string = "ConfigError";
}

/** A checkpoint that is damaged, incomplete, or made for another model. */
export class CheckpointError extends DcaeError {
  override readonly name: string = "CheckpointError";
}

/** An execution engine that is missing, can't load a program, or fails while it runs one. */
export class EngineError extends DcaeError {
  override readonly name: string = "EngineError";
}

/** Input data (images, arrays, archives) that can't be read or has unusable content. */
export class DataError extends DcaeError {
  override readonly name: string = "DataError";
}

/** The message of an unknown thrown value, for use in a wrapping error. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

type ErrorType = new (message: string, options?: DcaeErrorOptions) => DcaeError;

/**
 * An error of this project as another kind of it, with its message and hint; everything else as it is.
 *
 * @param prefix words in front of the message: what was a wrong name inside is a wrong option outside
 */
export function errorAs(error: unknown, ErrorClass: ErrorType, prefix = ""): unknown {
  if (!(error instanceof DcaeError) || (error instanceof ErrorClass && prefix === "")) return error;
  const { message, hint } = error;
  return new ErrorClass(`${prefix}${message}`, { cause: error, ...(hint === undefined ? {} : { hint }) });
}

/** The result of `work`; its errors as `errorAs` has them. */
export function rethrowAs<T>(ErrorClass: ErrorType, prefix: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw errorAs(error, ErrorClass, prefix);
  }
}
