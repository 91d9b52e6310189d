/** `fetch` for requests to the hub: with the token, which goes to the hub's own address only, and with limits. */
import { guardFetch } from "./guarded-fetch.js";

/** What the hub says about a repository; those with many thousands of files take a few megabytes. */
const MAX_ANSWER_BYTES = 32 * 2 ** 20;

export interface HubFetchOptions {
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
