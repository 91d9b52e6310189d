import { library } from "../../tsup.shared.js";

// The child process of isolated measurements stands beside the bundle, which starts it by its file name.
export default library({
  entry: {
    index: "src/index.ts",
    "internal/index": "src/internal/index.ts",
    "bench-child": "src/bench/bench-child.ts",
  },
});
