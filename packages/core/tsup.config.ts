import { copyFile } from "node:fs/promises";
import { library } from "../../tsup.shared.js";

const areas = ["graph", "blocks", "models", "checkpoint", "onnx", "runtime", "image"];

export default library({
  entry: ["src/index.ts", "src/index.browser.ts", ...areas.map((area) => `src/${area}/index.ts`)],
  async onSuccess() {
    // The worker is plain JavaScript, started by URL: it stands beside the chunk that names it, under the same name.
    await copyFile("src/runtime/onnx-worker.mjs", "dist/onnx-worker.mjs");
  },
});
