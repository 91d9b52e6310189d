// A page that Vite builds, as its user would: it imports core and the small model by their names, and Vite finds the files. Runs it in
// Chromium; its results must be those of Node.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";
import { build } from "vite";
import { launchChromium, serve } from "./chromium.mjs";
import { fail, root } from "./workspace.mjs";

const core = join(root, "packages", "core");
/** Largest difference of values between WebAssembly and Node that is rounding. */
const TOLERANCE = 1e-3;

const folder = mkdtempSync(join(tmpdir(), "dcae-vite-"));
try {
  mkdirSync(join(folder, "node_modules", "@dcae"), { recursive: true });
  symlinkSync(core, join(folder, "node_modules", "@dcae", "core"), "dir");
  copyFileSync(join(core, "test", "browser", "small-model-page.mjs"), join(folder, "page.mjs"));
  writeFileSync(join(folder, "index.html"), '<script type="module" src="/page.mjs"></script>');
  await build({ root: folder, configFile: false, logLevel: "error", build: { target: "es2022" } });

  const { url, close } = await serve((path) => ({
    file: join(folder, "dist", normalize(path === "/" ? "/index.html" : path)),
  }));
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => console.error(`page: ${error.message}`));
    await page.goto(url);
    await page.waitForFunction(() => typeof globalThis.runSmallModel === "function", undefined, { timeout: 30_000 });
    const inPage = await page.evaluate(() => globalThis.runSmallModel());
    const { forms, wrong, refused } = await page.evaluate(() => globalThis.runPictures());
    if (wrong.length > 0) fail(`the page reads other pixels from ${wrong.join(", ")}`);
    const expected = [
      /^DataError: .*isn't a picture/,
      /^DataError: Blob: can't be read/,
      /^ConfigError:/,
      /^ConfigError:/,
    ];
    expected.forEach((pattern, i) => {
      if (!pattern.test(refused[i])) fail(`expected ${pattern}, the page says ${refused[i]}`);
    });
    console.log(`${forms} forms of a picture in a page: the same pixels`);
    const free = await page.evaluate(() => globalThis.runFree());
    if (!(free.ticks >= 5)) fail(`the page stood still while it encoded: its timer went off ${free.ticks} times`);
    if (!free.aborted) fail("an aborted signal doesn't end encode with its reason");
    if (free.shape !== "1x32x2x2") fail(`after an aborted call, encode gives ${free.shape}`);
    if (free.workers !== 1 || !free.ended) fail(`dispose leaves workers: ${JSON.stringify(free)}`);
    console.log("the page goes on while it encodes, in a worker that ends with the model");
    await import(join(core, "test", "browser", "small-model-page.mjs"));
    const here = await globalThis.runSmallModel();
    let largest = 0;
    for (const name of ["latent", "picture"]) {
      if (inPage[name].length !== here[name].length)
        fail(`${name}: ${inPage[name].length} values, ${here[name].length} in Node`);
      here[name].forEach((value, i) => {
        largest = Math.max(largest, Math.abs(value - inPage[name][i]));
      });
    }
    if (!(largest <= TOLERANCE)) fail(`the page's results differ from Node's by ${largest}`);
    console.log(`small-f32 in a page built by Vite: largest difference from Node ${largest.toExponential(1)}`);
  } finally {
    await browser.close();
    close();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
