// Runs the built browser entry of core in a real Chromium: bundled as an application would, served over HTTP, compared
// with the golden outputs (see chromium.mjs for which browser).
import { join, normalize } from "node:path";
import { build } from "esbuild";
import { launchChromium, serve } from "./chromium.mjs";
import { root } from "./workspace.mjs";

const core = join(root, "packages", "core");
const models = ["ae_f32_in", "ae_f32_sana"];
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

const { url, close } = await serve((pathname) => {
  if (pathname === "/") return { type: "text/html", text: '<script type="module" src="/page.js"></script>' };
  if (pathname === "/page.js") return { type: "text/javascript", text: script };
  const [, area, ...rest] = normalize(pathname).split("/");
  return area in folders ? { file: join(folders[area], ...rest) } : undefined;
});

const browser = await launchChromium();
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`page: ${error.message}`));
  await page.goto(url);
  await page.waitForFunction(() => typeof globalThis.runGolden === "function", undefined, { timeout: 30_000 });
  for (const name of models) {
    const { calls, worst } = await page.evaluate((model) => globalThis.runGolden(model), name);
    console.log(
      `${name} in Chromium ${browser.version()}: ${calls} calls, largest relative difference ${worst.toExponential(1)}`,
    );
  }
} finally {
  await browser.close();
  close();
}
