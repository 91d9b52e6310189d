/**
 * Names that become parts of URLs and of cache paths: model ids, revisions and folders inside of a repository.
 */
import { CheckpointError, ConfigError } from "../../errors.js";

export const DEFAULT_REVISION = "main";
export const DEFAULT_HUB_URL = "https://huggingface.co";

/** `organization/name`, or the old form `name`. */
export function isModelId(text: string): boolean {
  const part = "[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?";
  return new RegExp(`^(?:${part}/)?${part}$`).test(text) && !/--|\.\./.test(text);
}

/** Whether a revision is the hash of a commit, which can't change. */
export function isCommitHash(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** @throws ConfigError unless `revision` is a plausible branch, tag, pull request reference or commit */
export function checkRevision(revision: string): string {
  if (!isRelativePath(revision)) {
    throw new ConfigError(`revision ${JSON.stringify(revision)} isn't a branch, tag or commit`);
  }
  return revision;
}

/** @throws ConfigError unless `folder` is a relative path without `..` */
export function checkSubfolder(folder: string): string {
  if (!isRelativePath(folder)) {
    throw new ConfigError(`subfolder ${JSON.stringify(folder)} isn't a path inside of the repository`);
  }
  return folder;
}

/** Letters, digits and `._-+@` in parts that aren't only dots, joined by slashes. */
function isRelativePath(path: string): boolean {
  return path.length <= 255 && path.split("/").every((part) => /^[\w.+@-]+$/.test(part) && !/^\.+$/.test(part));
}

/**
 * An access token as it is sent: without the line break that files and variables often end with. What tokens look like is the hub's
 * affair. Nothing for an empty one.
 *
 * @throws ConfigError for what can't stand in a header; the message doesn't show it
 */
export function checkToken(token: string | undefined): string | undefined {
  const sent = token?.trim();
  if (sent === undefined || sent === "") return undefined;
  if (!/^[\x21-\x7e]+$/.test(sent)) {
    throw new ConfigError("the hub's access token has spaces or characters that can't be sent", {
      hint: "Check the option token or HF_TOKEN.",
    });
  }
  return sent;
}

/** The base URL of a hub without a trailing slash. */
export function checkHubUrl(url: string): string {
  if (!/^https?:\/\/[^\s]+$/.test(url)) throw new ConfigError(`hub URL ${JSON.stringify(url)} isn't an http(s) URL`);
  return url.replace(/\/+$/, "");
}

// `fetch` that comes to an end: a server that accepts and never answers, stops in the middle of a file, or sends without end is an
// error. Runs in Node and in browsers.

/** Milliseconds without a byte after which a connection counts as broken. */
const DEFAULT_TIMEOUT = 60_000;

interface FetchGuard {
  /** Milliseconds that may pass without a byte. */
  readonly timeout: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Most bytes of the answer's body; undefined where the reader has a limit of its own. */
  readonly maxBytes: (url: string, response: Response) => number | undefined;
}

/** @throws ConfigError for a timeout that isn't a positive number */
export function guardFetch(
  request: typeof fetch,
  { timeout = DEFAULT_TIMEOUT, signal, maxBytes }: FetchGuard,
): typeof fetch {
  if (!(timeout > 0)) throw new ConfigError(`timeout: ${timeout} isn't a positive number of milliseconds`);
  return async (input, init) => {
    const stop = new AbortController();
    const signals = [stop.signal, signal, init?.signal].filter((item) => item !== undefined && item !== null);
    const asked = request(input, { ...init, signal: AbortSignal.any(signals) });
    const response = await inTime(asked, timeout, stop);
    if (response.body === null) return response;
    const url = input instanceof Request ? input.url : String(input);
    const limit = maxBytes(url, response) ?? Number.POSITIVE_INFINITY;
    const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
    let received = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await inTime(reader.read(), timeout, stop);
          if (done) return controller.close();
          received += value.length;
          if (received > limit) {
            const error = tooLarge(url, limit);
            stop.abort(error);
            throw error;
          }
          controller.enqueue(value);
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    );
    const guarded = new Response(body as unknown as ConstructorParameters<typeof Response>[0], response);
    // A response that was made by hand has no address of its own.
    Object.defineProperty(guarded, "url", { value: response.url });
    return guarded;
  };
}

/** The error of an answer with more bytes than such an answer has. */
function tooLarge(url: string, limit: number): CheckpointError {
  return new CheckpointError(`${url}: the answer has more than ${limit} bytes, which is too large for what was asked`, {
    hint: "Check the address; a proxy may stand in between.",
  });
}

/** `pending`, unless it takes longer than `timeout`: then the request is aborted. */
async function inTime<T>(pending: Promise<T>, timeout: number, stop: AbortController): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`timed out: nothing arrived for ${timeout / 1000} s`);
      reject(Object.assign(error, { code: "ETIMEDOUT" }));
      stop.abort(error);
    }, timeout);
  });
  try {
    return await Promise.race([pending, late]);
  } finally {
    clearTimeout(timer);
    // The loser of the race may fail later, which nobody waits for any more.
    pending.catch(() => undefined);
  }
}
