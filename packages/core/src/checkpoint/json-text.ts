/**
 * JSON from files that strangers wrote: bytes to a value, where duplicate keys are an error. `JSON.parse` keeps the last
 * of several equal keys, so two readers of one file could see different tensors under the same name.
 *
 * Here too: what in place of any file's content lies in a repository that was cloned without Git LFS, a pointer of a few lines of
 * text. Source: the specification of git-lfs, docs/spec.md.
 */
import { CheckpointError, type DcaeError, type DcaeErrorOptions, errorAs, errorMessage } from "../errors.js";

/** Longest name shown in a message. */
const MAX_SHOWN = 120;
/** Configs nest a few levels. What walks through a value (a schema, a message) calls itself once per level. */
const MAX_DEPTH = 100;

/** A name from a file in quotes, with control characters escaped and cut where it is very long. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}...` : name);
}

/**
 * A value from a file for a message. Of lists and objects the kind alone: as text they could be of any length, and an object may
 * have a `toString` of its own.
 */
export function shownValue(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value !== "object" || value === null) return String(value);
  return Array.isArray(value) ? "a list" : "an object";
}

/** Whether a JSON value is an object (not an array, not null). */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface JsonDocument {
  readonly value: unknown;
  /**
   * Call this once the value has the expected form: the search takes longer than the parsing, and nonsense should be
   * refused before.
   *
   * @throws CheckpointError when an object has a key twice
   */
  checkUniqueKeys(): void;
}

/**
 * Parses UTF-8 JSON.
 *
 * @param what for messages, as in "model.safetensors: header"
 * @throws CheckpointError when the bytes aren't UTF-8 or not JSON, or nested deeper than configs and headers are
 */
export function parseJsonDocument(bytes: Uint8Array, what: string): JsonDocument {
  let text: string;
  let value: unknown;
  refuseGitLfsPointer(bytes, what);
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CheckpointError(`${what} isn't UTF-8 text`, { cause });
  }
  try {
    value = JSON.parse(text);
  } catch (cause) {
    // The engine's message quotes the text, which may be long and hold line breaks.
    const reason = errorMessage(cause).replace(/[^\x20-\x7e]+/g, " ");
    throw new CheckpointError(`${what} isn't valid JSON: ${reason.slice(0, MAX_SHOWN)}`, { cause });
  }
  if (isDeeperThan(value, MAX_DEPTH)) throw new CheckpointError(`${what} is nested deeper than ${MAX_DEPTH} levels`);
  const checkUniqueKeys = () => {
    const duplicate = findDuplicateKey(text);
    if (duplicate !== undefined) throw new CheckpointError(`${what} has the key ${quoted(duplicate)} twice`);
  };
  return { value, checkUniqueKeys };
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((child) => isDeeperThan(child, levels - 1));
}

/**
 * Parses UTF-8 JSON whose objects have each key once.
 *
 * @param what for messages, as in "config.json"
 * @throws ErrorType (default CheckpointError) when the bytes aren't UTF-8 or not JSON, a pointer of Git LFS, nested deeper than
 *   configs are, or an object has a key twice
 */
export function parseJson(
  bytes: Uint8Array,
  what: string,
  ErrorType: new (message: string, options?: DcaeErrorOptions) => DcaeError = CheckpointError,
): unknown {
  try {
    const { value, checkUniqueKeys } = parseJsonDocument(withoutByteOrderMark(bytes), what);
    checkUniqueKeys();
    return value;
  } catch (error) {
    throw errorAs(error, ErrorType);
  }
}

/** Some editors put it in front of UTF-8; the standard lets a reader pass over it. */
function withoutByteOrderMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

/** First key that occurs twice in one object of `text`, which must be valid JSON. */
function findDuplicateKey(text: string): string | undefined {
  // One entry for each open bracket: the keys seen so far, or undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  let start = 0;
  let end = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '"':
        start = i;
        i = closingQuote(text, i);
        end = i + 1;
        break;
      case ":": {
        // In valid JSON a colon outside of strings follows a key. Equal keys may be escaped differently.
        const key = JSON.parse(text.slice(start, end)) as string;
        const keys = open.at(-1);
        if (keys?.has(key)) return key;
        keys?.add(key);
        break;
      }
      case "{":
        open.push(new Set());
        break;
      case "[":
        open.push(undefined);
        break;
      case "}":
      case "]":
        open.pop();
        break;
    }
  }
  return undefined;
}

function closingQuote(text: string, openingQuote: number): number {
  for (let i = openingQuote + 1; i < text.length; i++) {
    const character = text[i];
    if (character === "\\") i++;
    else if (character === '"') return i;
  }
  return text.length;
}

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
