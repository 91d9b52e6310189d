/**
 * Requests to the hub: `fetch` with the token, which goes to the hub's own address only, and with limits; and one clear line for
 * what goes wrong between here and there, with the next step to take.
 */

import { HubApiError, InvalidApiResponseFormatError } from "@huggingface/hub";
import { CheckpointError, DcaeError, errorMessage } from "../../errors.js";
import { errorCode } from "../file-source.node.js";
import { guardFetch } from "./hub-id.js";

/** What the hub says about a repository; those with many thousands of files take a few megabytes. */
const MAX_ANSWER_BYTES = 32 * 2 ** 20;

interface HubFetchOptions {
  readonly hubUrl: string;
  readonly token: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds that may pass without a byte. */
  readonly timeout: number | undefined;
}

export function hubFetch(request: typeof fetch, { hubUrl, token, signal, timeout }: HubFetchOptions): typeof fetch {
  const { origin } = new URL(hubUrl);
  const api = `${hubUrl}/api/`;
  const guarded = guardFetch(request, {
    signal,
    timeout,
    // Contents have the announced size as their limit.
    maxBytes: (url, response) => (!response.ok || url.startsWith(api) ? MAX_ANSWER_BYTES : undefined),
  });
  return (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    // @huggingface/hub sends only tokens that begin as those of huggingface.co do; other hubs have others.
    const headers = new Headers(init?.headers);
    if (token !== undefined && url.origin === origin) headers.set("Authorization", `Bearer ${token}`);
    return guarded(input, { ...init, headers });
  };
}

/** What was asked for, for messages. */
interface HubRequest {
  readonly id: string;
  readonly revision: string;
  readonly hubUrl: string;
  readonly hasToken: boolean;
}

/**
 * Turns an error of a request into a CheckpointError. Aborts, errors of this project and defects are returned as they are.
 */
export function hubError(error: unknown, request: HubRequest): unknown {
  if (error instanceof DcaeError) return error;
  if (error instanceof HubApiError) return statusError(error, request);
  if (error instanceof InvalidApiResponseFormatError || error instanceof SyntaxError) {
    return new CheckpointError(
      `${request.id}: ${request.hubUrl} gave an answer that isn't the hub's: ${errorMessage(error)}`,
      {
        cause: error,
        hint: "A proxy or a wrong HF_ENDPOINT may stand in between.",
      },
    );
  }
  const reason = networkReason(error);
  if (reason === undefined) return error;
  return new CheckpointError(`${request.id}: no connection to ${request.hubUrl} (${reason})`, {
    cause: error,
    hint: "Check the network. Models in the cache load with offline: true or HF_HUB_OFFLINE=1, local ones by their folder.",
  });
}

function statusError(error: HubApiError, { id, revision, hubUrl, hasToken }: HubRequest): CheckpointError {
  const status = error.statusCode;
  const fail = (problem: string, hint: string) =>
    new CheckpointError(`${id}: ${problem} (${status})`, { cause: error, hint });
  if (status === 401) {
    return hasToken
      ? fail(`${hubUrl} doesn't accept the token`, "Check the id, and that the token is valid and may read this model.")
      : fail(`not found on ${hubUrl}, or private`, "Check the id; for a private model pass a token (or set HF_TOKEN).");
  }
  if (status === 403) {
    return fail(
      "access denied",
      `Ask for access or accept the terms at ${hubUrl}/${id}, and pass a token (or set HF_TOKEN).`,
    );
  }
  if (status === 404) {
    return fail(
      `no such model or revision "${revision}" on ${hubUrl}`,
      "Check the id and the revision; a local folder must exist.",
    );
  }
  if (status === 429)
    return fail(`${hubUrl} asks to slow down`, "Wait a few minutes, or pass a token (or set HF_TOKEN).");
  if (status >= 500) return fail(`${hubUrl} has a problem`, "Try again later.");
  return fail(`${hubUrl} refused the request`, "Check the id, the revision and the token.");
}

const networkCodes =
  /^(ECONN\w+|ENOTFOUND|EAI_\w+|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EPROTO|UND_ERR_\w+|ERR_TLS_\w+|ERR_SSL_\w+|CERT_\w+|DEPTH_ZERO_\w+|SELF_SIGNED_\w+|UNABLE_TO_\w+)$/;

/** Why the network failed; undefined when the error is of another kind. */
export function networkReason(error: unknown): string | undefined {
  // `fetch` hides the reason in `cause`; several addresses that fail come as an AggregateError.
  for (let level = error, depth = 0; level instanceof Error && depth < 5; level = level.cause, depth++) {
    const code = errorCode(level) ?? (level instanceof AggregateError ? errorCode(level.errors[0]) : undefined);
    if (code !== undefined && networkCodes.test(code)) return code;
  }
  const message = errorMessage(error);
  return /^(fetch failed|terminated|other side closed|network error|timed out: .*)$/i.test(message)
    ? message
    : undefined;
}
