// What bench/forms.bench.mjs runs inside of the page: the model that the server has, with what a page gets where it asks for nothing else.
// Values come and go as base64, since a page's arguments are JSON.
// biome-ignore lint/style/noRestrictedImports: core by its own name, so that a page's entry is what is measured
import { loadAutoencoder, Tensor } from "@dcae/core";
import * as ort from "onnxruntime-web/wasm";

ort.env.wasm.wasmPaths = "/ort/";
ort.env.wasm.numThreads = 1;
const loaded = loadAutoencoder(`${location.origin}/model`, { device: "wasm", ort });

function toBase64(values) {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const parts = [];
  for (let start = 0; start < bytes.length; start += 32768) {
    parts.push(String.fromCharCode(...bytes.subarray(start, start + 32768)));
  }
  return btoa(parts.join(""));
}

globalThis.runForm = async (part, bytes, shape) => {
  const ae = await loaded;
  const values = Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0));
  const x = Tensor.float32(new Float32Array(values.buffer), shape);
  const result = part === "encode" ? await ae.encodeLatent(x) : await ae.decode(x);
  return { bytes: toBase64(result.toFloat32()), shape: [...result.shape] };
};
