import { type LocalHub, type LocalHubOptions, startLocalHub } from "@dcae/test-support/local-hub";
import { afterEach, describe, expect, it } from "vitest";
import { fetchModel } from "../../src/checkpoint/hub/fetch-model.js";
import type { DownloadProgress, FetchModelOptions } from "../../src/checkpoint/opened-model.js";
import { planShards } from "../../src/checkpoint/safetensors/shards.js";
import { encodeSafetensors, tensorEntries } from "../../src/checkpoint/safetensors/writer.js";
import { CheckpointError, ConfigError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";

const id = "mit-han-lab/tiny";
const commit = "0123456789abcdef0123456789abcdef01234567";
const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const values = Tensor.float32(Float32Array.from({ length: 100_000 }, (_, i) => i));
const weights = await encodeSafetensors(tensorEntries([["w", values]]));
const files = { "config.json": text({ a: 1 }), "model.safetensors": weights };

const hubs: LocalHub[] = [];
async function hub(options: Partial<LocalHubOptions> = {}): Promise<LocalHub> {
  const started = await startLocalHub({ id, commit, files, ...options });
  hubs.push(started);
  return started;
}
afterEach(async () => {
  await Promise.all(hubs.splice(0).map((started) => started.close()));
});

/** A web server of the given files, as `fetch`. */
const serve =
  (
    contents: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>,
    headers: Record<string, string> = {},
  ): typeof fetch =>
  async (url) => {
    const body = contents[String(url)];
    return body === undefined ? new Response("missing", { status: 404 }) : new Response(body, { headers });
  };

describe("from the hub", () => {
  it("by id, with progress", async () => {
    const { url, requests } = await hub();
    const progress: DownloadProgress[] = [];
    const model = await fetchModel(id, { hubUrl: url, onProgress: (event) => progress.push(event) });
    expect(requests).toEqual([`GET /${id}/resolve/main/config.json`, `GET /${id}/resolve/main/model.safetensors`]);
    expect([model.source, model.config]).toEqual([id, { a: 1 }]);
    const entry = model.weights.entries.get("w");
    expect([(await entry?.read())?.data, entry?.location]).toEqual([values.data, undefined]);
    expect(progress.at(-1)).toEqual({
      file: "model.safetensors",
      loadedBytes: weights.length,
      totalBytes: weights.length,
    });
  });

  it("revisions, subfolders, diffusers names, tokens", async () => {
    const { url } = await hub({
      token: "hf_right",
      revisions: ["refs/pr/1"],
      files: { "vae/diffusion_pytorch_model.safetensors": weights },
    });
    const options: FetchModelOptions = { hubUrl: url, revision: "refs/pr/1", subfolder: "vae", token: "hf_right" };
    const model = await fetchModel(id, options);
    expect(model.config).toBeUndefined();
    expect(model.weights.entries.size).toBe(1);
    await expect(fetchModel(id, { ...options, token: "hf_wrong" })).rejects.toThrow(/the server answers 401/);
    await expect(fetchModel(id, { ...options, revision: "v9" })).rejects.toThrow(/no weights found/);
  });

  it("a connection that breaks is an error, not a model", async () => {
    const { url } = await hub({ onContent: (path) => (path === "model.safetensors" ? { cutAfter: 1000 } : undefined) });
    const attempt = fetchModel(id, { hubUrl: url });
    await expect(attempt).rejects.toThrow(CheckpointError);
    await expect(attempt).rejects.toThrow(/model\.safetensors: download failed/);
  });

  it("no connection", async () => {
    const { url, close } = await hub();
    await close();
    await expect(fetchModel(id, { hubUrl: url })).rejects.toThrow(/config\.json: download failed/);
  });

  it("an abort rejects with the signal's reason", async () => {
    const { url } = await hub();
    const abort = new AbortController();
    abort.abort(new Error("stopped by the user"));
    await expect(fetchModel(id, { hubUrl: url, signal: abort.signal })).rejects.toThrow("stopped by the user");
  });
});

describe("from any web server", () => {
  const base = "https://example.org/models/tiny";

  it("a folder, with or without a trailing slash, and a file", async () => {
    const fetch = serve({ [`${base}/config.json`]: text({ b: 2 }), [`${base}/model.safetensors`]: weights });
    for (const url of [base, `${base}/`, `${base}/model.safetensors`]) {
      const model = await fetchModel(url, { fetch });
      expect([model.config, model.weights.entries.size]).toEqual([{ b: 2 }, 1]);
    }
  });

  it("relative URLs start with a slash or a dot", async () => {
    const fetch = serve({ "./models/tiny/model.safetensors": weights, "/tiny/model.safetensors": weights });
    expect((await fetchModel("./models/tiny", { fetch })).weights.entries.size).toBe(1);
    expect((await fetchModel("/tiny", { fetch })).weights.entries.size).toBe(1);
  });

  it("shards by their index", async () => {
    const plan = planShards(
      tensorEntries([
        ["a", values],
        ["b", values],
      ]),
      "model",
      400_000,
    );
    const contents: Record<string, string | Uint8Array<ArrayBuffer>> = {
      [`${base}/model.safetensors.index.json`]: plan.index?.text ?? "",
    };
    for (const shard of plan.shards) contents[`${base}/${shard.fileName}`] = await encodeSafetensors(shard.entries);
    const model = await fetchModel(base, { fetch: serve(contents) });
    expect([...model.weights.entries.keys()]).toEqual(["a", "b"]);
    delete contents[`${base}/model-00002-of-00002.safetensors`];
    await expect(fetchModel(base, { fetch: serve(contents) })).rejects.toThrow(/not found, though the index names it/);
  });

  it("a length that counts compressed bytes is not trusted", async () => {
    const headers = { "content-length": "10", "content-encoding": "gzip" };
    const progress: DownloadProgress[] = [];
    const fetch = serve({ [`${base}/model.safetensors`]: weights }, headers);
    const model = await fetchModel(base, { fetch, onProgress: (event) => progress.push(event) });
    expect((await model.weights.entries.get("w")?.read())?.data).toEqual(values.data);
    expect(progress.at(-1)).toEqual({ file: "model.safetensors", loadedBytes: weights.length, totalBytes: undefined });
  });

  it.each<[string, Record<string, string>, string | Uint8Array<ArrayBuffer>, RegExp]>([
    [
      "fewer bytes than announced",
      { "content-length": String(weights.length + 1) },
      weights,
      /the connection ended after/,
    ],
    ["more bytes than announced", { "content-length": "100" }, weights, /more bytes than announced/],
    ["a length that no memory has", { "content-length": "900000000000000" }, weights, /the connection ended after/],
    ["a length that isn't one", { "content-length": "1e300" }, weights.subarray(0, 2000), /end at byte/],
    ["a truncated file", {}, weights.subarray(0, 2000), /end at byte/],
    ["an empty file", {}, new Uint8Array(0), /only 0 bytes/],
  ])("%s", async (_, headers, body, message) => {
    const attempt = fetchModel(`${base}/x.safetensors`, { fetch: serve({ [`${base}/x.safetensors`]: body }, headers) });
    await expect(attempt).rejects.toThrow(CheckpointError);
    await expect(attempt).rejects.toThrow(message);
  });

  it("a server that accepts and never answers, or stops", async () => {
    const silent: typeof fetch = () => new Promise(() => {});
    await expect(fetchModel(base, { fetch: silent, timeout: 20 })).rejects.toThrow(
      /config\.json: download failed: timed out: nothing arrived for 0\.02 s/,
    );
    const stalled: typeof fetch = async () =>
      new Response(new ReadableStream({ start: (controller) => controller.enqueue(weights.subarray(0, 100)) }));
    await expect(fetchModel(`${base}/x.safetensors`, { fetch: stalled, timeout: 20 })).rejects.toThrow(/timed out/);
  });

  it("configs and indices without end", async () => {
    const piece = new Uint8Array(2 ** 20).fill(32);
    const endless: typeof fetch = async (url) =>
      String(url).endsWith("config.json")
        ? new Response(new ReadableStream({ pull: (controller) => controller.enqueue(piece) }))
        : new Response("missing", { status: 404 });
    await expect(fetchModel(base, { fetch: endless })).rejects.toThrow(/the answer has more than 4000000 bytes/);
  });

  it("tokens of any hub, but none that can't be sent", async () => {
    const sent: (string | null)[] = [];
    const request: typeof fetch = async (url, init) => {
      sent.push(new Headers(init?.headers).get("authorization"));
      return String(url).endsWith(".safetensors") ? new Response(weights) : new Response("", { status: 404 });
    };
    await fetchModel(`${base}/x.safetensors`, { fetch: request, token: "of-another-hub\n" });
    expect(sent.at(-1)).toBe("Bearer of-another-hub");
    await expect(fetchModel(base, { fetch: request, token: "a b" })).rejects.toThrow(ConfigError);
  });

  it("start pages in place of missing files are no files", async () => {
    const fetch: typeof globalThis.fetch = async () =>
      new Response("<html></html>", { headers: { "content-type": "text/html; charset=utf-8" } });
    await expect(fetchModel(base, { fetch })).rejects.toThrow(/no weights found \(tried .*model\.safetensors/);
  });

  it("server errors and options without effect", async () => {
    const broken: typeof fetch = async () => new Response("", { status: 503 });
    await expect(fetchModel(base, { fetch: broken })).rejects.toThrow(/the server answers 503/);
    await expect(fetchModel(base, { revision: "main" })).rejects.toThrow(ConfigError);
    await expect(fetchModel(id, { revision: "../x" })).rejects.toThrow(ConfigError);
  });
});

describe("from chosen files", () => {
  const file = (bytes: string | Uint8Array<ArrayBuffer>, name: string) => new File([bytes], name);

  it("config and weights, and weights alone", async () => {
    const chosen = {
      name: "mine",
      config: file('{"c":3}', "c.json"),
      weights: file(weights as Uint8Array<ArrayBuffer>, "w.safetensors"),
    };
    const model = await fetchModel(chosen);
    expect([model.source, model.config, model.configSource]).toEqual(["mine", { c: 3 }, "c.json"]);
    expect((await model.weights.entries.get("w")?.read())?.data).toEqual(values.data);
    const alone = await fetchModel(chosen.weights);
    expect([alone.source, alone.config, alone.weights.entries.size]).toEqual(["w.safetensors", undefined, 1]);
  });

  it("says which file is wrong", async () => {
    await expect(fetchModel(file("no weights", "cat.jpg"))).rejects.toThrow(/^cat\.jpg/);
    const chosen = {
      name: "mine",
      config: file("{", "c.json"),
      weights: file(weights as Uint8Array<ArrayBuffer>, "w.safetensors"),
    };
    await expect(fetchModel(chosen)).rejects.toThrow(/^c\.json/);
    await expect(fetchModel(chosen.weights, { revision: "v1" })).rejects.toThrow(/revision: it has no effect/);
  });
});

describe("through a cache by name", () => {
  const base = "https://example.org/models/tiny";
  const contents = { [`${base}/config.json`]: text({ d: 4 }), [`${base}/model.safetensors`]: weights };
  /** The Cache API of a browser, as far as it is used. */
  function withCaches(full = false): Map<string, Uint8Array> {
    const kept = new Map<string, Uint8Array>();
    const cache = {
      match: async (url: string) => {
        const bytes = kept.get(url);
        return bytes && new Response(bytes as Uint8Array<ArrayBuffer>);
      },
      put: async (url: string, response: Response) => {
        if (full) throw new Error("QuotaExceededError");
        kept.set(url, new Uint8Array(await response.arrayBuffer()));
      },
    };
    Object.assign(globalThis, { caches: { open: async () => cache } });
    return kept;
  }
  afterEach(() => {
    Reflect.deleteProperty(globalThis, "caches");
  });

  it("keeps what it downloads, and asks for nothing twice", async () => {
    const kept = withCaches();
    await fetchModel(base, { fetch: serve(contents), cache: "models" });
    expect([...kept.keys()]).toEqual(Object.keys(contents));
    const refused: typeof fetch = () => Promise.reject(new Error("asked again"));
    const again = await fetchModel(base, { fetch: refused, cache: "models" });
    expect([again.config, again.weights.entries.size]).toEqual([{ d: 4 }, 1]);
    await expect(fetchModel(base, { fetch: refused })).rejects.toThrow(/asked again/);
  });

  it("loads what finds no room there, and addresses that hold the file themselves", async () => {
    const kept = withCaches(true);
    const model = await fetchModel(base, { fetch: serve(contents), cache: "models" });
    expect([model.weights.entries.size, kept.size]).toEqual([1, 0]);
    const inline = { name: "m", config: 'data:application/json,{"e":5}', weights: `${base}/model.safetensors` };
    const both: typeof fetch = (url) => (String(url).startsWith("data:") ? fetch(url) : serve(contents)(url));
    expect((await fetchModel(inline, { fetch: both, cache: "models" })).config).toEqual({ e: 5 });
    const broken = { ...inline, config: `data:application/json,${"x".repeat(5000)}` };
    await expect(fetchModel(broken, { fetch: both })).rejects.toThrow(/^m config\.json.{0,200}$/);
  });

  it("where there is none", async () => {
    await expect(fetchModel(base, { cache: "models" })).rejects.toThrow(ConfigError);
    await expect(fetchModel(base, { cache: "models" })).rejects.toThrow(/there is no Cache API here/);
  });
});
