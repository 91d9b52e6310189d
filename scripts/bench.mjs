// `npm run bench`, per package: runs bench/*.bench.mjs one after the other, against the built package.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fail, run } from "./workspace.mjs";

const folder = join(process.cwd(), "bench");
const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".bench.mjs")) : [];
if (files.length === 0) fail(`no benchmark in ${folder}`);
for (const file of files.sort()) {
  if (run(process.execPath, [join(folder, file)], process.cwd()) !== 0) fail(`${file} failed`);
}
