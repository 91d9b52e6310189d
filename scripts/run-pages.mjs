// Pages as users build them: core and diffusion installed as npm would (copies of what is published), imported by their names, built and
// served by Vite, its development server and webpack, and run in Chromium. Their results must be those of Node.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";
import { build, createServer } from "vite";
import webpack from "webpack";
import { launchChromium, serve } from "./chromium.mjs";
import { fail, root } from "./workspace.mjs";

/** Largest difference of values between WebAssembly and Node that is rounding. */
const TOLERANCE = 1e-4;
/** What the README says that the development server needs. */
const EXCLUDE = ["@dcae/core", "@dcae/diffusion", "onnxruntime-web"];
const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

const folder = mkdtempSync(join(tmpdir(), "dcae-pages-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const modules = join(folder, "node_modules");
const core = join(root, "packages", "core");
const pages = ["core/test/browser/small-model-page.mjs", "diffusion/test/browser/sample-page.mjs"];
install();

let browser = await launchChromium();
try {
  const here = await inNode();
  await build({ root: folder, configFile: false, logLevel: "error", build: { target: "es2022" } });
  await onSite("dist", {}, (page) => everything(page, "a page built by Vite", here));
  await onSite("dist", ISOLATED, (page) => threads(page, here));
  await buildByWebpack();
  await onSite("webpack", {}, (page) => results(page, "a page built by webpack", here));
  await inDevelopment({ exclude: EXCLUDE }, (page) => results(page, "Vite's development server", here));
  await inDevelopment({}, withoutExclusion);
  await browser.close();
  browser = await launchChromium({ webgpu: true });
  await onSite("dist", {}, (page) => webgpu(page, here));
} finally {
  await browser.close();
}

/** What `npm install @dcae/core @dcae/diffusion onnxruntime-web` leaves, as far as a page needs it. */
function install() {
  for (const name of ["core", "diffusion"]) {
    const from = join(root, "packages", name);
    for (const part of ["package.json", "dist", "assets"])
      cpSync(join(from, part), join(modules, "@dcae", name, part), { recursive: true });
  }
  const requireFromCore = createRequire(join(core, "package.json"));
  const ort = join(core, "node_modules", "onnxruntime-web");
  const used =
    /(ort\.(wasm|webgpu)\.bundle\.min\.mjs|ort-wasm-simd-threaded(\.asyncify)?\.wasm|[\\/]dist|onnxruntime-web|package\.json)$/;
  cpSync(ort, join(modules, "onnxruntime-web"), {
    recursive: true,
    dereference: true,
    filter: (path) => used.test(path),
  });
  const zod = dirname(requireFromCore.resolve("zod/package.json"));
  cpSync(zod, join(modules, "zod"), { recursive: true, dereference: true });
  mkdirSync(join(folder, "pages"));
  for (const page of pages) cpSync(join(root, "packages", page), join(folder, "pages", page.split("/").at(-1)));
  writeFileSync(
    join(folder, "page.mjs"),
    'import "./pages/small-model-page.mjs";\nimport "./pages/sample-page.mjs";\n',
  );
  writeFileSync(join(folder, "index.html"), '<script type="module" src="/page.mjs"></script>');
  writeFileSync(join(folder, "package.json"), '{ "name": "page", "private": true, "type": "module" }');
}

async function inNode() {
  for (const page of pages) await import(pathToFileURL(join(root, "packages", page)).href);
  return { model: await globalThis.runSmallModel(), sample: await globalThis.runSample() };
}

function buildByWebpack() {
  const settings = {
    context: folder,
    mode: "production",
    entry: "./page.mjs",
    output: { path: join(folder, "webpack"), filename: "page.js" },
    // Its size is known.
    performance: { hints: false },
  };
  return new Promise((resolve) => {
    webpack(settings, (error, stats) => {
      if (error !== null || stats.hasErrors()) fail(`webpack: ${error ?? stats.toString("errors-only")}`);
      writeFileSync(join(folder, "webpack", "index.html"), '<script type="module" src="/page.js"></script>');
      resolve();
    });
  });
}

async function open(url, work) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`page: ${error.message}`));
  await page.goto(url);
  await page.waitForFunction(() => typeof globalThis.runSample === "function", undefined, { timeout: 60_000 });
  await work(page);
  await page.close();
}

/** Serves a built site, as static hosting does. */
async function onSite(name, headers, work) {
  const { url, close } = await serve((path) => ({
    file: join(folder, name, normalize(path === "/" ? "/index.html" : path)),
    headers,
  }));
  await open(url, work);
  close();
}

async function inDevelopment(optimizeDeps, work) {
  const server = await createServer({ root: folder, configFile: false, logLevel: "error", optimizeDeps });
  await server.listen(0);
  await open(server.resolvedUrls.local[0], work);
  await server.close();
}

async function everything(page, where, here) {
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

  await results(page, where, here);
  const sources = await page.evaluate(() => globalThis.runSources());
  for (const source of ["chosen", "kept", "again"])
    compare(`latents (${source})`, sources[source], here.sample.latents);
  if (sources.progress?.[0] !== "model.safetensors" || !(sources.progress[1] > 1e6))
    fail(`loading reports ${JSON.stringify(sources.progress)}`);
  if (!/import \{ usitScenes \}/.test(sources.named))
    fail(`the bundled model's name is answered with ${sources.named}`);
  console.log("a model from chosen files, and from a cache without a request: the same samples");
}

async function results(page, where, here) {
  const model = await page.evaluate(() => globalThis.runSmallModel());
  const sample = await page.evaluate(() => globalThis.runSample());
  if (sample.steps !== here.sample.steps) fail(`${where}: ${sample.steps} steps, ${here.sample.steps} in Node`);
  const differences = [
    compare("latent", model.latent, here.model.latent),
    compare("picture", model.picture, here.model.picture),
    compare("sampled latent", sample.latents, here.sample.latents),
    compare("sampled picture", sample.picture, here.sample.picture),
  ];
  console.log(`${where}: largest difference from Node ${Math.max(...differences).toExponential(1)}`);
}

async function threads(page, here) {
  const isolated = await page.evaluate(() => globalThis.crossOriginIsolated);
  if (!isolated) fail("the page isn't isolated in spite of its headers");
  const model = await page.evaluate(() => globalThis.runSmallModel({ threads: 2 }));
  const difference = compare("latent", model.latent, here.model.latent);
  console.log(`two threads in an isolated page: largest difference from Node ${difference.toExponential(1)}`);
}

/** WebGPU in a worker, in software: as right as WebAssembly, and too slow to be taken unasked. */
async function webgpu(page, here) {
  const { hasAdapter, device } = await page.evaluate(() => globalThis.runDevice());
  if (device !== "wasm") fail(`"auto" takes ${device} where no graphics card is`);
  if (!hasAdapter) return console.log("this Chromium has no WebGPU in software: not tried");
  const model = await page.evaluate(() => globalThis.runSmallModel({ device: "webgpu" }));
  const differences = ["latent", "picture"].map((name) => compare(`${name} by WebGPU`, model[name], here.model[name]));
  console.log(`WebGPU in a worker: largest difference from Node ${Math.max(...differences).toExponential(1)}`);
}

/** Without the line in its configuration, the development server leaves files behind: the error says which line it is. */
async function withoutExclusion(page) {
  const message = await page.evaluate(() =>
    globalThis.runSmallModel().then(
      () => "it works",
      (error) => `${error.name}: ${error.message}`,
    ),
  );
  const line = `optimizeDeps: { exclude: ${JSON.stringify(EXCLUDE).replaceAll(",", ", ")} }`;
  if (!message.includes(line)) fail(`expected an error that names ${line}, the page says ${message}`);
  console.log("without its line, the development server's page says what to write");
}

/** The largest difference, relative to the largest value. */
function compare(name, values, expected) {
  if (values.length !== expected.length) fail(`${name}: ${values.length} values, ${expected.length} in Node`);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const difference = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i])), 0) / largest;
  if (!(difference <= TOLERANCE)) fail(`${name}: differs from Node's by ${difference}`);
  return difference;
}
