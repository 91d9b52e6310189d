/**
 * Pointers of Git LFS: the few lines of text that lie in a repository in place of a large file, and stay there when it is cloned
 * without LFS. Source: the specification of git-lfs, docs/spec.md.
 */
import { CheckpointError, type DcaeError, type DcaeErrorOptions } from "../errors.js";

const START = "version https://git-lfs.github.com/spec/v";
/** As many first bytes of a file tell whether it is one. */
export const GIT_LFS_BYTES = START.length;

/** Whether bytes are the start of a pointer, or of its start. */
export function startsGitLfsPointer(bytes: Uint8Array): boolean {
  return bytes.subarray(0, START.length).every((byte, i) => byte === START.charCodeAt(i));
}

/**
 * Refuses a pointer in place of a file's content. Readers call it once the content isn't what they read.
 *
 * @param bytes the start of the file
 * @param name for the message
 */
export function refuseGitLfsPointer(
  bytes: Uint8Array,
  name: string,
  ErrorType: new (message: string, options?: DcaeErrorOptions) => DcaeError = CheckpointError,
): void {
  if (bytes.length < START.length || !startsGitLfsPointer(bytes)) return;
  throw new ErrorType(`${name}: a pointer of Git LFS, not the file itself`, {
    hint: "Run `git lfs pull` in its repository, or download the file.",
  });
}
