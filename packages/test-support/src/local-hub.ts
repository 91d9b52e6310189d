/** A server on this machine that answers as the Hugging Face hub does, and can misbehave. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface LocalHub {
  readonly url: string;
  /** "METHOD path" of every request, in order, with the Range header where there is one. */
  readonly requests: string[];
  /** The Authorization header of every request, in order. */
  readonly authorizations: (string | undefined)[];
  /** Paths inside of the repository whose content was sent (at least in part), in order. */
  readonly contentRequests: () => string[];
  readonly close: () => Promise<void>;
}

export interface LocalHubOptions {
  readonly id: string;
  readonly commit: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Revisions that point to the commit. */
  readonly revisions?: readonly string[];
  /** Requests without this token get 401. */
  readonly token?: string;
  /** Called for every content request; may change what is sent. */
  readonly onContent?: (path: string, attempt: number) => ContentFault | undefined;
  /** Status for the API's requests. */
  readonly apiStatus?: number;
  /** Changes the API's description of a file. */
  readonly describe?: (path: string, info: Record<string, unknown>) => Record<string, unknown>;
  /** Accepts every request of the API and never answers, or sends without end. */
  readonly apiFault?: "silent" | "endless";
  /** Replaces the model information. */
  readonly info?: unknown;
}

export type ContentFault =
  /** Closes the connection after so many bytes. */
  | { readonly cutAfter: number }
  /** Sends so many bytes and nothing more, without closing the connection. */
  | { readonly stallAfter: number }
  /** Sends to another address. */
  | { readonly redirect: string }
  | { readonly status: number }
  /** Sends something else of any length. */
  | { readonly content: Uint8Array }
  /** Sends the whole file whatever range was asked for. */
  | { readonly ignoreRange: true };

export async function startLocalHub(options: LocalHubOptions): Promise<LocalHub> {
  const requests: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const attempts = new Map<string, number>();
  const server = createServer((request, response) => {
    const range = request.headers.range;
    requests.push(`${request.method} ${request.url}${range === undefined ? "" : ` ${range}`}`);
    authorizations.push(request.headers.authorization);
    answer(request, response, options, attempts).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    authorizations,
    contentRequests: () => [...attempts.keys()],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: LocalHubOptions,
  attempts: Map<string, number>,
): Promise<void> {
  const { id, commit, files } = options;
  const { pathname } = new URL(request.url ?? "", "http://hub");
  const json = (status: number, body: unknown) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  if (options.token !== undefined && request.headers.authorization !== `Bearer ${options.token}`) {
    json(401, { error: "Invalid username or password." });
    return;
  }
  const knownRevisions = [commit, ...(options.revisions ?? ["main"])];
  const [, infoRevision] = pathname.match(new RegExp(`^/api/models/${id}/revision/(.+)$`)) ?? [];
  const [, pathsRevision] = pathname.match(new RegExp(`^/api/models/${id}/paths-info/(.+)$`)) ?? [];
  const [, contentRevision, path = ""] = pathname.match(new RegExp(`^/${id}/resolve/([^/]+)/(.+)$`)) ?? [];
  const revision = decodeURIComponent(infoRevision ?? pathsRevision ?? contentRevision ?? "");
  if (contentRevision === undefined && options.apiFault !== undefined) {
    if (options.apiFault === "endless") sendWithoutEnd(response);
  } else if (contentRevision === undefined && options.apiStatus !== undefined) {
    json(options.apiStatus, { error: "told to fail" });
  } else if (!knownRevisions.includes(revision)) {
    json(404, { error: revision === "" ? "Repository not found" : `Invalid rev id: ${revision}` });
  } else if (infoRevision !== undefined) {
    const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
    json(200, options.info ?? { _id: "0", id, sha: commit, siblings, lastModified: "2025-01-01T00:00:00.000Z" });
  } else if (pathsRevision !== undefined) {
    const { paths } = JSON.parse(await bodyOf(request)) as { paths: string[] };
    json(
      200,
      paths.filter((name) => name in files).map((name) => describe(name, files[name] as Uint8Array, options)),
    );
  } else {
    sendContent(request, response, path, options, attempts);
  }
}

/** JSON that goes on until the client has enough. */
function sendWithoutEnd(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json" });
  const piece = Buffer.alloc(2 ** 20, " ");
  const send = () => {
    while (!response.destroyed && response.write(piece));
  };
  response.on("drain", send);
  send();
}

function sendContent(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  options: LocalHubOptions,
  attempts: Map<string, number>,
): void {
  const bytes = options.files[path];
  if (bytes === undefined) {
    response.writeHead(404, { "x-error-code": "EntryNotFound" }).end();
    return;
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const headers = { etag: '"etag"', "content-type": "application/octet-stream" };
  if (first === "0" && last === "0") {
    // How @huggingface/hub asks for size and place.
    const range = `bytes 0-0/${bytes.length}`;
    response.writeHead(206, { ...headers, "content-range": range, "content-length": 1 }).end(bytes.subarray(0, 1));
    return;
  }
  const attempt = (attempts.get(path) ?? 0) + 1;
  attempts.set(path, attempt);
  const fault = options.onContent?.(path, attempt);
  if (fault !== undefined && "status" in fault) {
    response.writeHead(fault.status).end();
    return;
  }
  if (fault !== undefined && "redirect" in fault) {
    response.writeHead(302, { location: fault.redirect + (request.url ?? "") }).end();
    return;
  }
  const useRange = first !== undefined && !(fault !== undefined && "ignoreRange" in fault);
  const right = useRange ? bytes.subarray(Number(first), Number(last) + 1) : bytes;
  const content = fault !== undefined && "content" in fault ? fault.content : right;
  const contentRange = useRange ? { "content-range": `bytes ${first}-${last}/${bytes.length}` } : {};
  response.writeHead(useRange ? 206 : 200, { ...headers, ...contentRange, "content-length": content.length });
  if (fault !== undefined && "cutAfter" in fault) {
    response.write(content.subarray(0, fault.cutAfter), () => response.destroy());
  } else if (fault !== undefined && "stallAfter" in fault) {
    response.write(content.subarray(0, fault.stallAfter));
  } else response.end(content);
}

/** Large files (here: weights) as git LFS objects with SHA-256, small ones as git blobs with SHA-1. */
function describe(path: string, bytes: Uint8Array, options: LocalHubOptions): Record<string, unknown> {
  const oid = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
  const info: Record<string, unknown> = { path, type: "file", size: bytes.length, oid };
  if (path.endsWith(".safetensors")) {
    info.lfs = { oid: createHash("sha256").update(bytes).digest("hex"), size: bytes.length, pointerSize: 130 };
  }
  return options.describe?.(path, info) ?? info;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}
