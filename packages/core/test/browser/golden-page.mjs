// What scripts/run-in-browser.mjs runs inside of the page: the built browser entry of core, with a golden model loaded
// by URL, must give the golden outputs on WebAssembly.
// biome-ignore lint/style/noRestrictedImports: core by its own name, so that its exports are what is tested
import { AutoencoderDC } from "@dcae/core";
// biome-ignore lint/style/noRestrictedImports: for the same reason
import { bytesSource, openSafetensors } from "@dcae/core/checkpoint";
import * as ort from "onnxruntime-web/wasm";

const TOLERANCE = 1e-4;

async function tensors(url) {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const { entries } = await openSafetensors(bytesSource(bytes, url));
  return (name) => entries.get(name).read();
}

function relativeError(actual, expected) {
  const [a, b] = [actual.toFloat32(), expected.toFloat32()];
  const scale = b.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i])), 0) / scale;
}

globalThis.runGolden = async (name) => {
  ort.env.wasm.wasmPaths = "/ort/";
  ort.env.wasm.numThreads = 1;
  const model = await AutoencoderDC.fromPretrained(`${location.origin}/golden/${name}_diffusers`, {
    device: "wasm",
    ort,
  });
  const golden = await tensors(`/golden/${name}.safetensors`);
  const { calls } = await (await fetch(`/golden/${name}.json`)).json();
  let worst = 0;
  for (const call of calls) {
    const x = await golden(call.in[0]);
    const y = call.method === "encode" ? await model.encode(x) : await model.decode(x);
    const expected = await golden(call.out);
    if (y.shape.join() !== expected.shape.join()) throw new Error(`${call.out} is ${y.shape}, not ${expected.shape}`);
    worst = Math.max(worst, relativeError(y, expected));
  }
  await model.dispose();
  if (!(worst <= TOLERANCE)) throw new Error(`${name} differs by ${worst}`);
  return { calls: calls.length, worst };
};
