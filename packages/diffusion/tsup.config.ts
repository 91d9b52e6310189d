import { library } from "../../tsup.shared.js";

export default library({
  entry: [
    "src/index.ts",
    "src/index.browser.ts",
    "src/internal/index.ts",
    "src/usit-scenes/index.ts",
    "src/usit-scenes-256/index.ts",
  ],
});
