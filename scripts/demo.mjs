// `npm run demo`: install, build, then the demo, which is a command of the built `dcae` and writes into demo-output/.
import { join } from "node:path";
import { prepare, root, run } from "./workspace.mjs";

prepare();

// Relative, so that the pictures are named as they are found from here.
const cli = join("packages", "cli", "dist", "bin.js");
process.exit(run(process.execPath, [cli, "demo", "--out", "demo-output", ...process.argv.slice(2)], root));
