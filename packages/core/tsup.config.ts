import { existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { library } from "../../tsup.shared.js";

const areas = [
  "graph",
  "blocks",
  "models",
  "checkpoint",
  "onnx",
  "runtime",
  "nets",
  "image",
  "small-f32",
  "internal",
  "internal-browser",
];
const entries = ["", ...areas.map((area) => `${area}/`)].flatMap((folder) => [
  `src/${folder}index.ts`,
  `src/${folder}index.browser.ts`,
]);

export default library({
  entry: entries.filter((entry) => existsSync(entry)),
  // An optional dependency, which tsup would take for a part of the package.
  external: ["onnxruntime-node"],
  async onSuccess() {
    // Workers and a child process are plain JavaScript, started by URL: they stand beside the chunks that name them, under the same name.
    const workers = ["onnx-requests", "bound-sessions", "onnx-worker", "onnx-worker-wasm", "onnx-worker-webgpu"];
    for (const name of workers) await copyFile(`src/runtime/${name}.mjs`, `dist/${name}.mjs`);
    await copyFile("src/image/decode-svg-child.mjs", "dist/decode-svg-child.mjs");
  },
});
