import { library } from "../../tsup.shared.js";

// The thread that makes pictures is started by URL: it stands beside the chunk that names it.
export default library({
  entry: {
    index: "src/index.ts",
    "step/index": "src/step/index.ts",
    "diffusion/index": "src/diffusion/index.ts",
    "scenes/index": "src/scenes/index.ts",
    "tfjs/index": "src/tfjs/index.ts",
    "internal/index": "src/internal/index.ts",
    "picture-worker": "src/data/picture-worker.ts",
  },
});
