// `npm run demo`: install, build, then the demo, which is a command of the built `dcae` and writes into demo-output/.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { fail, prepare, root, run } from "./workspace.mjs";

prepare();

const core = await import(pathToFileURL(join(root, "packages", "core", "dist", "index.js")).href);
if (!core.AutoencoderDC) fail("the demo is not there yet: @dcae/core does not have the autoencoders so far");

const cli = join(root, "packages", "cli", "dist", "bin.js");
process.exit(run(process.execPath, [cli, "demo", "--out", join(root, "demo-output")]));
