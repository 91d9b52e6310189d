// Runs the built browser entry of core in a real Chromium: bundled as an application would, served over HTTP, compared
// with the golden outputs. CHROMIUM_PATH names the browser; otherwise Debian's is used, and installed where apt-get can.
import { spawnSync } from "node:child_process";
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { fail, root, run } from "./workspace.mjs";

const core = join(root, "packages", "core");
const models = ["ae_f32_in", "ae_f32_sana"];
const contentTypes = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

function findBrowser() {
  const candidates = [process.env.CHROMIUM_PATH, "/usr/bin/chromium", "/usr/bin/google-chrome"];
  return candidates.find((path) => path && existsSync(path));
}

function installBrowser() {
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || spawnSync("apt-get", ["--version"]).status !== 0) return;
  console.log("installing Debian's chromium");
  run("apt-get", ["-qq", "update"]);
  run("apt-get", ["-qq", "install", "-y", "--no-install-recommends", "chromium"]);
}

if (findBrowser() === undefined) installBrowser();
const executablePath = findBrowser();
if (executablePath === undefined) fail("no Chromium found: install one, and name it in CHROMIUM_PATH");

// The page lies in core and imports it by its own name, so that `exports` decides what it gets, as for any user.
const bundled = await build({
  entryPoints: [join(core, "test", "browser", "golden-page.mjs")],
  bundle: true,
  write: false,
  format: "esm",
  platform: "browser",
  // Without the paths of tsconfig.json, which lead to the sources.
  tsconfigRaw: {},
  logLevel: "error",
});
const script = bundled.outputFiles[0].contents;
const ort = join(core, "node_modules", "onnxruntime-web", "dist");
const folders = { ort, golden: join(core, "test", "golden", "dcae") };

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  if (pathname === "/")
    return response
      .writeHead(200, { "Content-Type": "text/html" })
      .end('<script type="module" src="/page.js"></script>');
  if (pathname === "/page.js") return response.writeHead(200, { "Content-Type": "text/javascript" }).end(script);
  const [, area, ...rest] = normalize(decodeURIComponent(pathname)).split("/");
  const file = area in folders ? join(folders[area], ...rest) : undefined;
  if (file === undefined || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  response.writeHead(200, { "Content-Type": contentTypes[extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`page: ${error.message}`));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction(() => typeof globalThis.runGolden === "function", undefined, { timeout: 30_000 });
  for (const name of models) {
    const { calls, worst } = await page.evaluate((model) => globalThis.runGolden(model), name);
    console.log(
      `${name} in Chromium ${browser.version()}: ${calls} calls, largest relative difference ${worst.toExponential(1)}`,
    );
  }
} finally {
  await browser.close();
  server.close();
}
