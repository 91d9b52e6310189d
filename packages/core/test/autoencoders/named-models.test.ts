/** Models that have a name: the one that the package carries needs no network, others lead to their repository. */
import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterEach, describe, expect, test } from "vitest";
import {
  AutoencoderDC as WebAutoencoderDC,
  loadAutoencoder as webLoadAutoencoder,
} from "../../src/autoencoders/pretrained.browser.js";
import { fetchModel } from "../../src/checkpoint/hub/fetch-model.js";
import { CheckpointError, ConfigError, type DcaeError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";
import { AutoencoderDC, bundledModelPath, loadAutoencoder, openCheckpoint } from "../../src/internal/index.js";
import { smallF32 } from "../../src/small-f32/index.js";

const folder = temporaryFolder();
const asked: string[] = [];
/** A hub that has nothing. */
const empty = (async (input: string | URL | Request) => {
  asked.push(input instanceof Request ? input.url : String(input));
  return new Response("", { status: 404 });
}) as typeof fetch;
const errorOf = (work: Promise<unknown>): Promise<DcaeError> =>
  work.then(
    () => {
      throw new Error("expected a rejection");
    },
    (error) => error,
  );
const noNetwork = (async () => {
  throw new Error("no request should be made");
}) as typeof fetch;
const options = { device: "cpu", threads: 1, fetch: noNetwork } as const;
afterEach(() => {
  asked.length = 0;
});

describe("in Node", () => {
  test.each([
    ["by its name", "small-f32"],
    ["by the URLs of its files", smallF32],
  ])("the bundled model, %s", async (_, source) => {
    const ae = await AutoencoderDC.fromPretrained(source, options);
    try {
      expect(ae.name).toBe("small-f32");
      expect((await ae.encode(Tensor.zeros([1, 3, 32, 32]))).shape).toEqual([1, 32, 1, 1]);
    } finally {
      await ae.dispose();
    }
  });

  test("of any family, and without an engine", async () => {
    const ae = await loadAutoencoder("small-f32", options);
    expect(ae.kind).toBe("dc-ae");
    await ae.dispose();
    const { model, weights } = await openCheckpoint("small-f32");
    await weights.close();
    expect(model.scalingFactor).toBe(0.01079);
  });

  test("what has that name on the disk comes first", async () => {
    const here = process.cwd();
    mkdirSync(join(folder, "small-f32"));
    process.chdir(folder);
    try {
      await expect(openCheckpoint("small-f32")).rejects.toThrow(/no weights found/);
    } finally {
      process.chdir(here);
    }
  });

  test.each([
    ["dc-ae-f32c32-in-1.0", "mit-han-lab/dc-ae-f32c32-in-1.0"],
    ["dc-ae-f32c32-in-1.0-diffusers", "mit-han-lab/dc-ae-f32c32-in-1.0-diffusers"],
  ])("%s is that repository", async (name, repository) => {
    const web = { fetch: empty, cacheDir: join(folder, "cache"), hubUrl: "https://hub.test" };
    await errorOf(openCheckpoint(name, web));
    expect(asked[0]).toContain(`https://hub.test/api/models/${repository}/`);
  });

  test("what is close to a name", async () => {
    const error = await errorOf(openCheckpoint("smal-f32", { fetch: noNetwork }));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toBe(
      'smal-f32: no such file or folder, and unknown preset "smal-f32"; did you mean "small-f32"?',
    );
    expect(error.hint).toMatch(/^Known presets: dc-ae-.*"small-f32" comes with @dcae\/core\.$/);
    expect((await errorOf(openCheckpoint("dc-ae-f32c32-in-1"))).message).toContain(
      'did you mean "dc-ae-f32c32-in-1.0"?',
    );
  });

  test("options about a repository have no effect", async () => {
    await expect(openCheckpoint("small-f32", { revision: "main" })).rejects.toThrow(/revision "main" has no effect/);
    await expect(openCheckpoint(smallF32, { subfolder: "vae" })).rejects.toThrow(/subfolder: it has no effect/);
    await expect(openCheckpoint(3 as never)).rejects.toThrow(ConfigError);
  });

  test("URLs of files that aren't there", async () => {
    const config = pathToFileURL(join(folder, "config.json"));
    await expect(openCheckpoint({ ...smallF32, config })).rejects.toThrow(/config\.json: can't read: no such file/);
    await expect(openCheckpoint({ ...smallF32, config: "file://a:b" })).rejects.toThrow(CheckpointError);
  });
});

describe("in a browser", () => {
  /** A server that has the bundled model under the names that a bundler gives its files. */
  const server = (async (input: string | URL | Request) => {
    const { pathname } = new URL(String(input));
    const file = /^\/assets\/(config|model)-[a-z0-9]+\.(json|safetensors)$/.exec(pathname);
    if (file === null) return new Response("<html>", { status: 404 });
    return new Response(await readFile(join(bundledModelPath(), `${file[1]}.${file[2]}`)));
  }) as typeof fetch;
  const urls = {
    name: "small-f32",
    config: new URL("https://page.test/assets/config-a1b2.json"),
    weights: "https://page.test/assets/model-c3d4.safetensors",
  };

  test("the bundled model by the URLs that a bundler gives its files", async () => {
    const seen: string[] = [];
    const onProgress = ({ file }: { file: string }) => seen.push(file);
    const ae = await WebAutoencoderDC.fromPretrained(urls, { device: "wasm", fetch: server, onProgress });
    expect([ae.name, ae.latentChannels, ae.scalingFactor]).toEqual(["small-f32", 32, 0.01079]);
    await ae.dispose();
    expect([...new Set(seen)]).toEqual(["config.json", "model.safetensors"]);
  });

  test("files that the bundler left out", async () => {
    const lost = { ...urls, weights: "https://page.test/lost.safetensors" };
    await expect(fetchModel(lost, { fetch: server })).rejects.toThrow(
      "small-f32: there is no file at https://page.test/lost.safetensors",
    );
  });

  test("its name says how to get the URLs", async () => {
    const error = await errorOf(webLoadAutoencoder("small-f32", { fetch: noNetwork }));
    expect(error.message).toContain("small-f32: in browsers its files are found by their URLs");
    expect(error.hint).toContain('import { smallF32 } from "@dcae/core/small-f32"');
  });

  test("a published model's name is its repository, and what is close to one is said", async () => {
    await errorOf(webLoadAutoencoder("dc-ae-f32c32-in-1.0", { fetch: empty }));
    expect(asked[0]).toBe("https://huggingface.co/mit-han-lab/dc-ae-f32c32-in-1.0/resolve/main/config.json");
    const error = await errorOf(webLoadAutoencoder("small-f3", { fetch: noNetwork }));
    expect(error.message).toMatch(/^small-f3: not a URL .* unknown preset "small-f3"; did you mean "small-f32"\?$/);
  });
});
