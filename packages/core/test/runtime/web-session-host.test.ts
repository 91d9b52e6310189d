/** The browser's engine on onnxruntime-web's WebAssembly, which Node can run too, with a checkpoint loaded by fetch. */
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expectClose, MODEL_TOLERANCE } from "@dcae/test-support/compare";
import { callOf, dcAeCases } from "@dcae/test-support/golden-dcae";
import * as ort from "onnxruntime-web";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AutoencoderDC, AutoencoderKL } from "../../src/autoencoders/pretrained.browser.js";
import { ConfigError } from "../../src/errors.js";
import type { OrtModule } from "../../src/runtime/create-engine.browser.js";
import { createEngine } from "../../src/runtime/index.browser.js";

const module = ort as unknown as OrtModule;
let server: Server;
let base: string;
beforeAll(async () => {
  ort.env.wasm.numThreads = 1;
  server = createServer((request, response) => {
    readFile(dcAeCases.path((request.url ?? "/").slice(1))).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  // A connection that idles while a model runs must not be closed under the next request.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

test.each([
  ["ae_f32_in_diffusers", "ae_f32_in"],
  ["ae_f32_sana_diffusers", "ae_f32_sana"],
])("%s by URL", async (folder, name) => {
  const model = await AutoencoderDC.fromPretrained(`${base}/${folder}`, { device: "wasm", ort: module });
  const golden = await dcAeCases.load(name);
  for (const call of golden.calls) {
    const x = golden.tensor(call.in[0] as string);
    const y = call.method === "encode" ? await model.encode(x) : await model.decode(x);
    expectClose(y, golden.tensor(call.out), MODEL_TOLERANCE);
  }
  await model.dispose();
});

test("AutoencoderKL by URL, and the wrong class", async () => {
  const url = `${base}/kl_f8_hub_old_names`;
  const model = await AutoencoderKL.fromPretrained(url, { device: "wasm", ort: module });
  const golden = await dcAeCases.load("kl_f8");
  const { x, y } = callOf(golden, "kl_mode");
  expectClose((await model.encode(x)).mean, y, MODEL_TOLERANCE);
  await model.dispose();
  await expect(AutoencoderDC.fromPretrained(url, { ort: module })).rejects.toBeInstanceOf(ConfigError);
});

test("devices of Node are refused by name", async () => {
  await expect(createEngine({ device: "cuda" as never })).rejects.toBeInstanceOf(ConfigError);
});
