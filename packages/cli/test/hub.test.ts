/** Models by their id on the hub: a server on this machine answers in its place. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type LocalHub, startLocalHub } from "@dcae/test-support/local-hub";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const id = "someone/tiny";

let hub: LocalHub;
let cat: string;

beforeAll(async () => {
  const model = await makeModel(folder, "model");
  cat = await makePicture(folder, "cat.png");
  const names = readdirSync(model);
  const files = Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(join(model, name)))]));
  hub = await startLocalHub({ id, commit: "0123456789abcdef0123456789abcdef01234567", files });
});
afterAll(() => hub.close());
beforeEach(() => {
  vi.stubEnv("HF_ENDPOINT", hub.url);
  vi.stubEnv("HF_TOKEN", "");
  vi.stubEnv("HF_HUB_OFFLINE", "");
});
afterEach(() => {
  vi.unstubAllEnvs();
});

test("downloads once, shows progress on a terminal only, and then works offline", async () => {
  const argv = ["encode", cat, "-m", id, "--cache-dir", at("cache"), "-o", at("z.npy")];
  expect(await failWith(1, ...argv, "--offline")).toContain("offline mode is on");
  expect(hub.requests).toEqual([]);

  const shown = await cli(argv, { onTerminal: () => {} });
  expect(shown.status).toBe(0);
  expect(shown.stderr).toContain("download  [");
  const downloaded = readFileSync(at("z.npy"));

  const requests = hub.requests.length;
  await succeed(...argv, "--offline");
  expect(hub.requests).toHaveLength(requests);
  await succeed("encode", cat, "-m", at("model"), "-o", at("local.npy"));
  expect(readFileSync(at("local.npy")).equals(downloaded)).toBe(true);
});

test("info and convert take ids too, and revisions are checked", async () => {
  const cache = ["--cache-dir", at("cache")];
  const info = JSON.parse(await succeed("info", id, ...cache, "--size", "32", "--json"));
  expect(info).toMatchObject({ compression: 4, checkpoint: { format: "official" } });
  await succeed("convert", "--from", id, ...cache, "--to", at("converted"), "--format", "diffusers");
  expect(await failWith(1, "info", id, ...cache, "--revision", "nope")).toContain("nope");
  const weights = at("model", "model.safetensors");
  expect(await failWith(2, "info", at("model"), "--revision", "main")).toContain("--revision has no effect");
  expect(await failWith(2, "info", at("model"), ...cache)).toContain("--cache-dir has no effect");
  expect(await failWith(2, "info", weights, "--subfolder", "vae")).toContain("--subfolder has no effect");
});
