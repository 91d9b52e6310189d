/**
 * One clear line for the errors of the file system: which file, what was tried, why it failed, what to do about it.
 */
import { DataError, DcaeError, type DcaeErrorOptions } from "../errors.js";

const reasons: Readonly<Record<string, readonly [reason: string, hint?: string]>> = {
  ENOENT: ["no such file or folder", "Check the path."],
  ENOTDIR: ["a part of the path is a file, not a folder", "Check the path."],
  EISDIR: ["it is a folder, not a file", "Name a file inside of it."],
  EEXIST: ["it exists already"],
  ENOTEMPTY: ["the folder isn't empty"],
  EACCES: ["permission denied", "Check the permissions of the file and its folder."],
  EPERM: ["operation not permitted", "Check the permissions of the file and its folder."],
  EROFS: ["the file system is read-only", "Choose another place."],
  ENOSPC: ["the disk is full", "Free some space or choose another place."],
  EDQUOT: ["the disk quota is used up", "Free some space or choose another place."],
  EFBIG: ["the file would be larger than the file system or its limit allows"],
  EMFILE: ["too many open files", "Close files or raise the limit (ulimit -n)."],
  ENFILE: ["too many open files", "Close files or raise the limit (ulimit -n)."],
  ENAMETOOLONG: ["the name is too long"],
  ELOOP: ["symbolic links form a loop"],
  EBUSY: ["it is in use"],
  EIO: ["the device reports an input/output error"],
  ENXIO: ["there is no device behind it"],
};

/** The error code of Node's system errors (`ENOENT`...), if `error` is one. */
export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/**
 * Turns a system error into an error of this project; every other error is returned as it is, since it already says
 * what happened or is a defect that must not be disguised.
 *
 * @param action what was tried, as in "read" or "write"
 */
export function fileError(
  error: unknown,
  path: string,
  action: string,
  ErrorType: new (message: string, options?: DcaeErrorOptions) => DcaeError = DataError,
): unknown {
  const code = errorCode(error);
  if (error instanceof DcaeError || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error;
  const [reason, hint] = reasons[code] ?? [(error as Error).message];
  return new ErrorType(`${path}: can't ${action}: ${reason} (${code})`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}
