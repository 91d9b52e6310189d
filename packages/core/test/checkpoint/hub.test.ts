import { createHash } from "node:crypto";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type LocalHub, type LocalHubOptions, startLocalHub } from "@dcae/test-support/local-hub";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openModel, type ResolveModelOptions, resolveModelFiles } from "../../src/checkpoint/open-model.node.js";
import type { DownloadProgress } from "../../src/checkpoint/opened-model.js";
import { planShards } from "../../src/checkpoint/safetensors/shards.js";
import { encodeSafetensors, tensorEntries } from "../../src/checkpoint/safetensors/writer.js";
import { CheckpointError, ConfigError, type DcaeError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";

const root = temporaryFolder();
const id = "mit-han-lab/tiny";
const commit = "0123456789abcdef0123456789abcdef01234567";
const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
// Large enough to arrive in several pieces.
const values = Tensor.float32(Float32Array.from({ length: 300_000 }, (_, i) => i % 1000));
const weights = await encodeSafetensors(tensorEntries([["w", values]]));
const files = {
  ".gitattributes": text(""),
  "README.md": text("readme"),
  "config.json": text({ model_name: "tiny" }),
  "model.safetensors": weights,
  "pytorch_model.bin": text("pickle"),
  "samples/a.png": text("png"),
};

let cacheDir = "";
let count = 0;
const hubs: LocalHub[] = [];
async function hub(options: Partial<LocalHubOptions> = {}): Promise<LocalHub> {
  const started = await startLocalHub({ id, commit, files, ...options });
  hubs.push(started);
  return started;
}
beforeEach(() => {
  cacheDir = join(root, `cache-${count++}`);
});
afterEach(async () => {
  await Promise.all(hubs.splice(0).map((started) => started.close()));
});

const modelFolder = () => join(cacheDir, "models--mit-han-lab--tiny");
const snapshot = (name: string) => join(modelFolder(), "snapshots", commit, name);
const blobs = () => (existsSync(join(modelFolder(), "blobs")) ? readdirSync(join(modelFolder(), "blobs")) : []);
const resolveWith = (url: string, options: ResolveModelOptions = {}, model = id) =>
  resolveModelFiles(model, { hubUrl: url, cacheDir, retries: 0, ...options });
const failure = async (attempt: Promise<unknown>): Promise<DcaeError> => {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as Error).message).not.toContain("\n");
  return error as DcaeError;
};

/** Nothing in the cache may look like a whole file without being one. */
function expectNoWholeLookingWeights(): void {
  expect(existsSync(snapshot("model.safetensors"))).toBe(false);
  expect(existsSync(join(modelFolder(), "refs"))).toBe(false);
  for (const name of blobs()) {
    const size = statSync(join(modelFolder(), "blobs", name)).size;
    if (!name.endsWith(".incomplete")) expect(size).toBe(files["config.json"].length);
  }
}

describe("download", () => {
  it("gets config and weights only, into the shared cache's layout, with progress", async () => {
    const { url, contentRequests } = await hub();
    const progress: DownloadProgress[] = [];
    const found = await resolveWith(url, { onProgress: (event) => progress.push(event) });
    expect(found).toEqual({
      source: id,
      configPath: snapshot("config.json"),
      weightsPath: snapshot("model.safetensors"),
      origin: "hub",
      commit,
    });
    expect(contentRequests().sort()).toEqual(["config.json", "model.safetensors"]);
    expect(Buffer.compare(readFileSync(found.weightsPath), weights)).toBe(0);
    expect(lstatSync(found.weightsPath).isSymbolicLink()).toBe(true);
    expect(readlinkSync(found.weightsPath)).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(readFileSync(join(modelFolder(), "refs", "main"), "utf8")).toBe(commit);
    expect(blobs()).toHaveLength(2);

    const ofWeights = progress.filter(({ file }) => file === "model.safetensors").map(({ loadedBytes }) => loadedBytes);
    expect(ofWeights[0]).toBe(0);
    expect(ofWeights).toEqual([...ofWeights].sort((a, b) => a - b));
    expect(ofWeights.length).toBeGreaterThan(2);
    expect(progress.at(-1)).toEqual({
      file: "model.safetensors",
      loadedBytes: weights.length,
      totalBytes: weights.length,
    });
  });

  it("a second time nothing is downloaded, and by commit nothing is asked", async () => {
    const { url, requests, contentRequests } = await hub();
    await resolveWith(url);
    const before = requests.length;
    const again = await resolveWith(url);
    expect(again.origin).toBe("hub");
    expect(contentRequests()).toHaveLength(2);
    expect(requests.slice(before)).not.toEqual([]);
    expect(requests.slice(before).filter((line) => !line.includes("/api/"))).toEqual([]);
    const byCommit = await resolveWith("http://127.0.0.1:1", { revision: commit });
    expect([byCommit.origin, byCommit.weightsPath]).toEqual(["cache", again.weightsPath]);
  });

  it("opens what was downloaded", async () => {
    const { url } = await hub();
    const model = await openModel(id, { hubUrl: url, cacheDir });
    expect(model.config).toEqual({ model_name: "tiny" });
    expect((await model.weights.entries.get("w")?.read())?.data).toEqual(values.data);
    expect(model.weights.entries.get("w")?.location?.path).toBe(snapshot("model.safetensors"));
    expect(model.files.commit).toBe(commit);
    await model.weights.close();
  });

  it("another commit with the same weights shares the blob", async () => {
    const { url } = await hub();
    await resolveWith(url);
    const next = "f".repeat(40);
    const second = await hub({ commit: next, files: { ...files, "config.json": text({ model_name: "other" }) } });
    const found = await resolveWith(second.url);
    expect(second.contentRequests()).toEqual(["config.json"]);
    expect(Buffer.compare(readFileSync(found.weightsPath), weights)).toBe(0);
    expect(readFileSync(join(modelFolder(), "refs", "main"), "utf8")).toBe(next);
  });

  it("revisions with slashes, subfolders, diffusers names", async () => {
    const { url, requests } = await hub({
      revisions: ["refs/pr/1"],
      files: {
        "vae/config.json": text({}),
        "vae/diffusion_pytorch_model.safetensors": weights,
        "config.json": text({}),
      },
    });
    const found = await resolveWith(url, { revision: "refs/pr/1", subfolder: "vae" });
    expect(found.weightsPath).toBe(snapshot("vae/diffusion_pytorch_model.safetensors"));
    expect(found.configPath).toBe(snapshot("vae/config.json"));
    expect(requests[0]).toContain("/revision/refs%2Fpr%2F1");
    expect(readFileSync(join(modelFolder(), "refs", "refs", "pr", "1"), "utf8")).toBe(commit);
    const offline = await resolveWith(url, { revision: "refs/pr/1", subfolder: "vae", offline: true });
    expect(offline.weightsPath).toBe(found.weightsPath);
  });

  it("shards by their index", async () => {
    const entries = tensorEntries([
      ["a", Tensor.full([10], 1)],
      ["b", Tensor.full([10], 2)],
    ]);
    const plan = planShards(entries, "model", 40);
    const sharded: Record<string, Uint8Array> = { "config.json": text({}), "other.safetensors": weights };
    for (const shard of plan.shards) sharded[shard.fileName] = await encodeSafetensors(shard.entries);
    sharded["model.safetensors.index.json"] = new TextEncoder().encode(plan.index?.text ?? "");
    const { url, contentRequests } = await hub({ files: sharded });
    const model = await openModel(id, { hubUrl: url, cacheDir });
    expect([...model.weights.entries.keys()]).toEqual(["a", "b"]);
    expect(contentRequests()).not.toContain("other.safetensors");
    await model.weights.close();
    expect((await resolveWith(url, { offline: true })).origin).toBe("cache");
    rmSync(snapshot("model-00002-of-00002.safetensors"));
    expect((await failure(resolveWith(url, { offline: true }))).message).toMatch(/1 of 2 shards are missing/);
    await resolveWith(url);
    expect((await resolveWith(url, { offline: true })).origin).toBe("cache");
  });

  it("several processes at once end with the same files", async () => {
    const { url } = await hub();
    const all = await Promise.all(Array.from({ length: 4 }, () => resolveWith(url)));
    for (const { weightsPath } of all) expect(Buffer.compare(readFileSync(weightsPath), weights)).toBe(0);
    expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([]);
  });
});

describe("an interrupted download", () => {
  const cut = 500_000;

  it("leaves nothing that looks whole, and is continued where it stopped", async () => {
    const broken = await hub({ onContent: (path) => (path === "model.safetensors" ? { cutAfter: cut } : undefined) });
    const error = await failure(resolveWith(broken.url));
    expect(error.message).toMatch(/^mit-han-lab\/tiny: no connection to http:/);
    expectNoWholeLookingWeights();
    const partial = blobs().filter((name) => name.endsWith(".incomplete"));
    expect(partial).toHaveLength(1);
    const arrived = statSync(join(modelFolder(), "blobs", partial[0] as string)).size;
    expect(arrived).toBeGreaterThan(0);
    expect(arrived).toBeLessThanOrEqual(cut);

    const healthy = await hub();
    const progress: number[] = [];
    const found = await resolveWith(healthy.url, { onProgress: ({ loadedBytes }) => progress.push(loadedBytes) });
    expect(Buffer.compare(readFileSync(found.weightsPath), weights)).toBe(0);
    expect(healthy.requests.at(-1)).toContain(`bytes=${arrived}-${weights.length - 1}`);
    expect(progress[0]).toBe(arrived);
    expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([]);
  });

  it("is taken up again at once as long as something arrives", async () => {
    const { url, requests } = await hub({
      onContent: (path, attempt) => (path === "model.safetensors" && attempt <= 3 ? { cutAfter: 200_000 } : undefined),
    });
    const found = await resolveWith(url, { retries: 1 });
    expect(Buffer.compare(readFileSync(found.weightsPath), weights)).toBe(0);
    expect(requests.filter((line) => /model\.safetensors bytes=[1-9]/.test(line))).toHaveLength(3);
  });

  it("starts over when the server can't continue", async () => {
    const broken = await hub({ onContent: (path) => (path === "model.safetensors" ? { cutAfter: cut } : undefined) });
    await failure(resolveWith(broken.url));
    const { url } = await hub({ onContent: () => ({ ignoreRange: true }) });
    const found = await resolveWith(url);
    expect(Buffer.compare(readFileSync(found.weightsPath), weights)).toBe(0);
  });

  it("starts over when what was left is damaged", async () => {
    const broken = await hub({ onContent: (path) => (path === "model.safetensors" ? { cutAfter: cut } : undefined) });
    await failure(resolveWith(broken.url));
    const [partial] = blobs().filter((name) => name.endsWith(".incomplete"));
    writeFileSync(join(modelFolder(), "blobs", partial as string), Buffer.alloc(1000, 7));
    const { url } = await hub();
    const found = await resolveWith(url);
    expect(Buffer.compare(readFileSync(found.weightsPath), weights)).toBe(0);
  });

  it("of a killed process is taken over, that of a running one is left alone", async () => {
    const { url } = await hub({ onContent: () => ({ status: 500 }) });
    await failure(resolveWith(url));
    const hash = createHash("sha256").update(weights).digest("hex");
    const folder = join(modelFolder(), "blobs");
    mkdirSync(folder, { recursive: true });
    const dead = join(folder, `${hash}.999999999-aa.incomplete`);
    const alive = join(folder, `${hash}.${process.ppid}-bb.incomplete`);
    const foreign = join(folder, `${hash}.cc.incomplete`);
    writeFileSync(dead, weights.subarray(0, 100));
    writeFileSync(alive, weights.subarray(0, 200));
    writeFileSync(foreign, weights.subarray(0, 300));
    const healthy = await hub();
    await resolveWith(healthy.url);
    expect(healthy.requests.at(-1)).toContain("bytes=100-");
    expect([existsSync(dead), existsSync(alive), existsSync(foreign)]).toEqual([false, true, true]);
  });

  it("is not continued through a link, nor under a second name of another file", async () => {
    const hash = createHash("sha256").update(weights).digest("hex");
    const folder = join(modelFolder(), "blobs");
    mkdirSync(folder, { recursive: true });
    const victims = ["linked", "twice"].map((name) => join(root, `${name}-${count}`));
    for (const victim of victims) writeFileSync(victim, "mine");
    symlinkSync(victims[0] as string, join(folder, `${hash}.0-aa.incomplete`));
    linkSync(victims[1] as string, join(folder, `${hash}.0-bb.incomplete`));
    const { url } = await hub();
    const found = await resolveWith(url);
    expect(Buffer.compare(readFileSync(found.weightsPath), weights)).toBe(0);
    for (const victim of victims) expect(readFileSync(victim, "utf8")).toBe("mine");
  });

  it("by the caller rejects with the signal's reason", async () => {
    const { url } = await hub();
    const abort = new AbortController();
    const attempt = resolveWith(url, {
      retries: 3,
      signal: abort.signal,
      onProgress: ({ file, loadedBytes }) => {
        if (file === "model.safetensors" && loadedBytes > 0) abort.abort(new Error("stopped by the user"));
      },
    });
    await expect(attempt).rejects.toThrow("stopped by the user");
    expectNoWholeLookingWeights();
  });
});

describe("content that isn't what the hub announced", () => {
  const wrong: readonly [string, Uint8Array][] = [
    ["other bytes", weights.map((byte, i) => (i === 1000 ? byte ^ 1 : byte))],
    ["fewer bytes", weights.subarray(0, 1000)],
    ["more bytes", Buffer.concat([weights, Buffer.alloc(1_000_000)])],
    ["an error page", text("<html>login</html>")],
    ["nothing", new Uint8Array(0)],
  ];
  it.each(wrong)("%s", async (_, content) => {
    const { url } = await hub({ onContent: (path) => (path === "model.safetensors" ? { content } : undefined) });
    const error = await failure(resolveWith(url));
    expect(error.message).toMatch(/model\.safetensors arrived damaged/);
    expectNoWholeLookingWeights();
    expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([]);
  });

  it.each<[string, (path: string, info: Record<string, unknown>) => Record<string, unknown>, RegExp]>([
    [
      "a hash that is a path",
      (_, info) => ({ ...info, lfs: undefined, oid: "../../evil" }),
      /without a usable size and hash/,
    ],
    ["no hash", (_, info) => ({ ...info, lfs: undefined, oid: undefined }), /without a usable size and hash/],
    ["a negative size", (_, info) => ({ ...info, size: -1 }), /without a usable size and hash/],
    ["a config of a gigabyte", (path, info) => (path === "config.json" ? { ...info, size: 1e9 } : info), /too large/],
    ["a folder", (_, info) => ({ ...info, type: "directory" }), /isn't in the repository/],
  ])("a description with %s", async (_, describeFile, message) => {
    const { url } = await hub({ describe: describeFile });
    expect((await failure(resolveWith(url))).message).toMatch(message);
    expect(existsSync(join(root, "evil"))).toBe(false);
  });

  it.each([{ sha: "../../evil" }, { sha: null }, {}])("a commit that isn't one: %j", async (info) => {
    const { url } = await hub({ info: { ...info, siblings: [{ rfilename: "model.safetensors" }] } });
    expect((await failure(resolveWith(url))).message).toMatch(/gave no commit/);
  });
});

describe("one clear line and the next step for", () => {
  it("404: an unknown model", async () => {
    const { url } = await hub();
    const error = await failure(resolveWith(url, {}, "mit-han-lab/unknown"));
    expect(error.message).toBe(`mit-han-lab/unknown: no such model or revision "main" on ${url} (404)`);
    expect(error.hint).toMatch(/Check the id/);
  });

  it("404: an unknown revision", async () => {
    const { url } = await hub();
    expect((await failure(resolveWith(url, { revision: "v9" }))).message).toMatch(/revision "v9".*\(404\)/);
  });

  it("401: no token, a wrong token, the right one from the option or the environment", async () => {
    const { url } = await hub({ token: "hf_right" });
    const without = await failure(resolveWith(url));
    expect(without.message).toMatch(/not found on http.*, or private \(401\)/);
    expect(without.hint).toMatch(/HF_TOKEN/);
    expect((await failure(resolveWith(url, { token: "hf_wrong" }))).message).toMatch(/doesn't accept the token/);
    expect((await resolveWith(url, { token: "hf_right" })).origin).toBe("hub");
    rmSync(cacheDir, { recursive: true });
    process.env.HF_TOKEN = "hf_right";
    try {
      expect((await resolveWith(url)).origin).toBe("hub");
    } finally {
      delete process.env.HF_TOKEN;
    }
  });

  it("tokens of other hubs, with the line break that a file ends with", async () => {
    const { url, authorizations } = await hub({ token: "glpat-0A_b.c" });
    expect((await resolveWith(url, { token: "glpat-0A_b.c\n" })).origin).toBe("hub");
    expect(new Set(authorizations)).toEqual(new Set(["Bearer glpat-0A_b.c"]));
  });

  it("a token that can't be sent, without showing it", async () => {
    const { url, requests } = await hub();
    for (const token of ["se cret", "se\ncret", "s\u00e9cret"]) {
      const attempt = resolveWith(url, { token });
      await expect(attempt).rejects.toThrow(ConfigError);
      await expect(attempt).rejects.not.toThrow(/cret/);
    }
    expect(requests).toEqual([]);
  });

  it("offline, tokens don't matter", async () => {
    const { url } = await hub();
    await resolveWith(url);
    expect((await resolveWith(url, { offline: true, token: "of another hub" })).origin).toBe("cache");
  });

  it("another address to which the hub sends: it doesn't get the token", async () => {
    const other = await hub();
    const { url } = await hub({ token: "hf_right", onContent: () => ({ redirect: other.url }) });
    expect((await resolveWith(url, { token: "hf_right" })).origin).toBe("hub");
    expect(other.authorizations.length).toBeGreaterThan(0);
    expect(new Set(other.authorizations)).toEqual(new Set([undefined]));
  });

  it("a server that accepts and never answers", async () => {
    const { url } = await hub({ apiFault: "silent" });
    const error = await failure(resolveWith(url, { timeout: 100 }));
    expect(error.message).toBe(`mit-han-lab/tiny: no connection to ${url} (ETIMEDOUT)`);
    await expect(resolveWith(url, { timeout: 0 })).rejects.toThrow(/timeout: 0 isn't a positive number/);
  });

  it("a server that stops in the middle of a file; the next attempt goes on there", async () => {
    const stalled = await hub({
      onContent: (path) => (path === "model.safetensors" ? { stallAfter: 100_000 } : undefined),
    });
    const error = await failure(resolveWith(stalled.url, { timeout: 300 }));
    expect(error.message).toMatch(/no connection to .* \((ETIMEDOUT|timed out.*)\)/);
    expectNoWholeLookingWeights();
    const { url, requests } = await hub();
    await resolveWith(url);
    expect(requests.at(-1)).toMatch(/model\.safetensors bytes=[1-9]/);
  });

  it("an answer of the API without end", async () => {
    const { url } = await hub({ apiFault: "endless" });
    const error = await failure(resolveWith(url));
    expect(error.message).toMatch(/\/api\/models\/.*: the answer has more than 33554432 bytes/);
  });

  it.each([
    [403, /access denied \(403\)/, /accept the terms/],
    [429, /slow down \(429\)/, /Wait/],
    [500, /has a problem \(500\)/, /later/],
    [503, /has a problem \(503\)/, /later/],
    [418, /refused the request \(418\)/, /Check/],
  ])("%d", async (apiStatus, message, hint) => {
    const { url } = await hub({ apiStatus });
    const error = await failure(resolveWith(url));
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
    expect(blobs()).toEqual([]);
  });

  it("a content server that fails", async () => {
    const { url } = await hub({ onContent: () => ({ status: 500 }) });
    const error = await failure(resolveWith(url));
    expect(error.message).toMatch(/downloading config\.json failed/);
    expectNoWholeLookingWeights();
  });

  it("no network", async () => {
    const { url, close } = await hub();
    await close();
    const error = await failure(resolveWith(url));
    expect(error.message).toBe(`mit-han-lab/tiny: no connection to ${url} (ECONNREFUSED)`);
    expect(error.hint).toMatch(/HF_HUB_OFFLINE/);
  });

  it("an answer that isn't the hub's", async () => {
    const { url } = await hub({ info: "hello" });
    expect((await failure(resolveWith(url))).message).toMatch(/mit-han-lab\/tiny/);
  });

  it.each<[string, Partial<LocalHubOptions>]>([
    ["a list of files that is a number", { info: { sha: commit, siblings: 5 } }],
    ["files that are nothing", { info: { sha: commit, siblings: [null] } }],
    ["files without names", { info: { sha: commit, siblings: [{ rfilename: 3 }, {}] } }],
    ["descriptions that are numbers", { describe: () => 5 as never }],
    ["a hash that is a list", { describe: (_, info) => ({ ...info, lfs: undefined, oid: [info.oid] }) }],
    [
      "a hash of a large file that is a list",
      { describe: (_, info) => ({ ...info, lfs: { oid: [info.oid], size: 1 } }) },
    ],
  ])("an answer with %s", async (_, options) => {
    const { url } = await hub(options);
    expect((await failure(resolveWith(url))).message).toMatch(/^mit-han-lab\/tiny: /);
  });

  it("a repository without weights, or with several", async () => {
    const none = await hub({ files: { "config.json": text({}), "pytorch_model.bin": text("") } });
    const error = await failure(resolveWith(none.url));
    expect(error.message).toMatch(/no weights found \(expected model\.safetensors or/);
    expect(error.hint).toMatch(/pytorch_model\.bin: give the path/);
    const two = await hub({ files: { "model.safetensors": weights, "diffusion_pytorch_model.safetensors": weights } });
    expect((await failure(resolveWith(two.url))).message).toMatch(/several checkpoints/);
  });

  it("a cache that can't be written", async () => {
    const { url } = await hub();
    writeFileSync(cacheDir, "a file where the cache should be");
    expect((await failure(resolveWith(url))).message).toMatch(/can't write: .*\((ENOTDIR|EEXIST)\)/);
  });

  it.each([
    "../no-such-folder",
    "a/b/c",
    "./missing",
    "missing/",
    "/no/such/folder",
    "C:\\models",
    "org/na me",
    "",
    "a--b/c",
    "org/..",
  ])("what is neither a path nor an id: %j", async (name) => {
    expect((await failure(resolveModelFiles(name, { cacheDir }))).message).toMatch(
      /no such file or folder, and not a model id/,
    );
  });

  it.each([
    { revision: "../../x" },
    { revision: "" },
    { subfolder: "../x" },
    { subfolder: "/etc" },
    { hubUrl: "ftp://x" },
  ])("options that make no sense: %j", async (options) => {
    await expect(resolveModelFiles(id, { cacheDir, ...options })).rejects.toThrow(ConfigError);
  });
});

describe("offline", () => {
  it("uses the cache without a request", async () => {
    const { url, requests } = await hub();
    await resolveWith(url);
    const before = requests.length;
    const found = await resolveWith(url, { offline: true });
    expect(found).toEqual({
      source: id,
      configPath: snapshot("config.json"),
      weightsPath: snapshot("model.safetensors"),
      origin: "cache",
      commit,
    });
    process.env.HF_HUB_OFFLINE = "1";
    try {
      expect((await resolveWith(url)).origin).toBe("cache");
      expect((await resolveWith(url, { offline: false })).origin).toBe("hub");
    } finally {
      delete process.env.HF_HUB_OFFLINE;
    }
    expect(requests.slice(before)).not.toEqual([]);
    expect(requests.slice(before).filter((line) => !line.includes("/api/"))).toEqual([]);
    expect(requests.slice(before).filter((line) => line.startsWith("GET"))).toHaveLength(1);
  });

  it("says what is missing in the cache", async () => {
    const { url, requests } = await hub();
    const error = await failure(resolveWith(url, { offline: true }));
    expect(error.message).toMatch(/offline mode is on, and revision "main" isn't complete in the cache/);
    expect(error.hint).toMatch(/without offline mode/);
    expect(requests).toEqual([]);
    await resolveWith(url);
    expect((await failure(resolveWith(url, { offline: true, revision: "v2" }))).message).toMatch(/"v2"/);
    rmSync(join(modelFolder(), "blobs"), { recursive: true });
    await failure(resolveWith(url, { offline: true }));
  });

  it("without a connection a complete cache is used, and said so", async () => {
    const { url } = await hub();
    await resolveWith(url);
    const found = await resolveWith("http://127.0.0.1:1");
    expect(found.origin).toBe("cache");
    expect(found.notice).toMatch(/^No connection to .* using commit 0123456789abcdef.* from the cache\.$/);
    // An answer of the hub is not a missing connection.
    const gone = await hub({ apiStatus: 404 });
    await failure(resolveWith(gone.url));
  });

  it("finds the cache by the standard environment variables", async () => {
    const { url } = await hub();
    const names = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"] as const;
    const before = names.map((name) => process.env[name]);
    for (const name of names) delete process.env[name];
    try {
      for (const name of names) {
        process.env[name] = cacheDir;
        const found = await resolveModelFiles(id, { hubUrl: url, offline: name !== "HF_HUB_CACHE" }).catch(
          (e: Error) => e,
        );
        // HF_HOME holds the cache in its folder "hub", which is empty here.
        if (name === "HF_HOME") expect((found as Error).message).toContain(join(cacheDir, "hub"));
        else expect(found).toMatchObject({ weightsPath: snapshot("model.safetensors") });
        delete process.env[name];
      }
    } finally {
      names.forEach((name, i) => {
        if (before[i] !== undefined) process.env[name] = before[i];
      });
    }
  });

  it("the endpoint comes from HF_ENDPOINT", async () => {
    const { url } = await hub();
    process.env.HF_ENDPOINT = `${url}/`;
    try {
      expect((await resolveModelFiles(id, { cacheDir })).origin).toBe("hub");
    } finally {
      delete process.env.HF_ENDPOINT;
    }
  });
});

describe("local paths, without any request", () => {
  const noNetwork: ResolveModelOptions = {
    fetch: () => {
      throw new Error("no request may be made");
    },
  };
  const local = (contents: Readonly<Record<string, Uint8Array>>) => {
    const folder = join(root, `local-${count++}`);
    for (const [name, bytes] of Object.entries(contents)) {
      mkdirSync(join(folder, name, ".."), { recursive: true });
      writeFileSync(join(folder, name), bytes);
    }
    return folder;
  };

  it("a folder, a file in it, a file without config", async () => {
    const folder = local({ "config.json": text({ a: 1 }), "model.safetensors": weights });
    const expected = {
      configPath: join(folder, "config.json"),
      weightsPath: join(folder, "model.safetensors"),
      origin: "local",
    };
    expect(await resolveModelFiles(folder, noNetwork)).toEqual({ ...expected, source: folder });
    const file = join(folder, "model.safetensors");
    expect(await resolveModelFiles(file, noNetwork)).toEqual({ ...expected, source: file });
    const bare = local({ "anything.safetensors": weights });
    expect((await resolveModelFiles(bare, noNetwork)).weightsPath).toBe(join(bare, "anything.safetensors"));
    expect((await openModel(join(bare, "anything.safetensors"), noNetwork)).config).toBeUndefined();
  });

  it("a subfolder", async () => {
    const folder = local({ "vae/config.json": text({}), "vae/diffusion_pytorch_model.safetensors": weights });
    expect((await resolveModelFiles(folder, { ...noNetwork, subfolder: "vae" })).configPath).toBe(
      join(folder, "vae", "config.json"),
    );
    await failure(resolveModelFiles(folder, { ...noNetwork, subfolder: "unet" }));
  });

  it("options without effect are errors", async () => {
    const folder = local({ "model.safetensors": weights });
    await expect(resolveModelFiles(folder, { revision: "main" })).rejects.toThrow(ConfigError);
    await expect(resolveModelFiles(join(folder, "model.safetensors"), { subfolder: "x" })).rejects.toThrow(ConfigError);
  });

  it.each<[string, Record<string, Uint8Array>, RegExp]>([
    ["an empty folder", { "readme.txt": text("") }, /no weights found/],
    [
      "two checkpoints",
      { "a.safetensors": weights, "b.safetensors": weights },
      /several checkpoints \(a\.safetensors, b\.safetensors\)/,
    ],
    [
      "an empty config",
      { "config.json": new Uint8Array(0), "model.safetensors": weights },
      /config\.json isn't valid JSON/,
    ],
    [
      "a config that is a list",
      { "config.json": text([]), "model.safetensors": weights },
      /config\.json isn't a JSON object/,
    ],
    ["empty weights", { "config.json": text({}), "model.safetensors": new Uint8Array(0) }, /only 0 bytes/],
    [
      "an index without its shards",
      { "model.safetensors.index.json": text({ weight_map: { a: "x.safetensors" } }) },
      /x\.safetensors: can't read: no such file/,
    ],
  ])("%s", async (_, contents, message) => {
    expect((await failure(openModel(local(contents), noNetwork))).message).toMatch(message);
  });

  it("other files", async () => {
    const folder = local({ "model.onnx": text("x") });
    expect((await failure(resolveModelFiles(join(folder, "model.onnx"), noNetwork))).message).toMatch(
      /not a folder, a \.safetensors file/,
    );
  });
});
