// A Chromium for the checks that need one, and a server for its pages. CHROMIUM_PATH names the browser; otherwise Debian's is used, and
// installed where apt-get can.
import { spawnSync } from "node:child_process";
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { fail, root, run } from "./workspace.mjs";

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

/** WebGPU without a graphics card, on the CPU. */
const SOFTWARE_WEBGPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  "--use-vulkan=swiftshader",
  "--ignore-gpu-blocklist",
];

/** Starts it; close it when done. `webgpu`: with WebGPU, where this build has it. */
export async function launchChromium({ webgpu = false } = {}) {
  if (findBrowser() === undefined) installBrowser();
  const executablePath = findBrowser();
  if (executablePath === undefined) fail("no Chromium found: install one, and name it in CHROMIUM_PATH");
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      ...(webgpu ? SOFTWARE_WEBGPU : ["--disable-gpu"]),
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

const contentTypes = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** Serves what `answer` gives for a path: `{ file, headers }` or `{ type, text }`, or nothing. */
export async function serve(answer) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const found = answer(decodeURIComponent(pathname));
    if (found?.text !== undefined) return response.writeHead(200, { "Content-Type": found.type }).end(found.text);
    const { file, headers } = found ?? {};
    if (file === undefined || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
    response.writeHead(200, { ...headers, "Content-Type": contentTypes[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/**
 * Bundles a script of core as an application would, and serves an empty page with it, and folders under names of their own.
 *
 * @param script file below `packages/core`, so that what it imports by core's name is what any user gets
 * @param folders beside `ort`, where onnxruntime-web's files are
 */
export async function servePage(script, folders) {
  const core = join(root, "packages", "core");
  const { outputFiles } = await build({
    entryPoints: [join(core, script)],
    ...{ bundle: true, write: false, format: "esm", platform: "browser", logLevel: "error" },
    // Without the paths of tsconfig.json, which lead to the sources.
    tsconfigRaw: {},
  });
  const areas = { ort: join(core, "node_modules", "onnxruntime-web", "dist"), ...folders };
  return serve((pathname) => {
    if (pathname === "/") return { type: "text/html", text: '<script type="module" src="/page.js"></script>' };
    if (pathname === "/page.js") return { type: "text/javascript", text: outputFiles[0].contents };
    const [, area, ...rest] = normalize(pathname).split("/");
    return Object.hasOwn(areas, area) ? { file: join(areas[area], ...rest) } : undefined;
  });
}

/** The documentation, as it was built. */
export const builtSite = join(root, "apps", "docs", ".vitepress", "dist");

/** Serves it as static hosting does, with addresses without ".html" and no headers of isolation. */
export async function serveSite() {
  if (!existsSync(join(builtSite, "index.html"))) fail("the site isn't built: npm run build");
  return serve((path) => {
    const file = join(builtSite, normalize(path.endsWith("/") ? `${path}index.html` : path));
    return { file: existsSync(`${file}.html`) ? `${file}.html` : file };
  });
}
