// @ts-check
/**
 * What each form of a model costs in quality: on pictures of yours, the PSNR of the round trip (of the values as they are, clamped, and
 * of 8-bit pictures), and how far latents and reconstructions are from those of the plain form. Forms that the model doesn't have are
 * named with the reason.
 *
 *   node bench/forms.bench.mjs --model FOLDER --data FOLDER [--forms plain,rewritten,...] [--limit N] [--threads N] [--json FILE]
 *
 * Pictures are taken as they are: their sides must be multiples of the compression. The relative error is the root mean square of the
 * difference over that of the plain form's values, and the largest difference over the largest value. One form at a time is loaded.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { launchChromium, servePage } from "../../../scripts/chromium.mjs";
import { loadAutoencoder, loadImage, psnr, Tensor, tensorToImage } from "../dist/index.js";
import { openCheckpoint, saveCheckpoint } from "../dist/internal/index.js";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    data: { type: "string" },
    forms: { type: "string" },
    limit: { type: "string" },
    threads: { type: "string", default: "1" },
    json: { type: "string" },
  },
});
const { model, data } = values;
if (model === undefined || data === undefined) {
  console.log("forms: skipped, it needs --model and --data (a folder of pictures)");
  process.exit(0);
}
/** Pictures on which the ranges of int8 are observed. */
const CALIBRATED = 4;
const place = model;
const threads = Number(values.threads);
const files = readdirSync(data)
  .filter((name) => /\.(png|jpe?g|webp)$/i.test(name))
  .sort();
const names = files.slice(0, Number(values.limit ?? files.length));
if (names.length === 0) throw new Error(`${data}: holds no pictures`);

/**
 * @typedef {{ encode(x: Tensor): Promise<Tensor>, decode(z: Tensor): Promise<Tensor>, close(): Promise<void> }} Form
 * @typedef {import("../dist/index.js").CodecOptions} CodecOptions
 */

/** @param {import("../dist/index.js").LoadOptions} load @param {CodecOptions} [codec] @returns {Promise<Form>} */
async function loaded(load, codec = {}) {
  const ae = await loadAutoencoder(place, { device: "cpu", threads, optimize: false, ...load });
  return {
    encode: (x) => ae.encodeLatent(x, codec),
    decode: (z) => ae.decode(z, codec),
    close: () => ae.dispose(),
  };
}

/** Half of the memory that the whole picture takes: it must run in tiles. @returns {Promise<Form>} */
async function exactTiles() {
  const ae = await loadAutoencoder(place, { device: "cpu", threads, optimize: false });
  /** @param {"encode" | "decode"} part @param {Tensor} x */
  const limit = (part, x) => {
    const { bytes: whole } = ae.planMemory(part, x.shape, { maxMemory: 1e13 });
    // The least that is possible is above any fixed share for some models.
    for (let share = 0.5; share < 1; share += 0.1) {
      try {
        if (ae.planMemory(part, x.shape, { maxMemory: whole * share }).tiles > 0) return { maxMemory: whole * share };
      } catch {}
    }
    throw new Error(`${part}: no limit below ${whole} bytes makes tiles`);
  };
  return {
    encode: (x) => ae.encodeLatent(x, limit("encode", x)),
    decode: (z) => ae.decode(z, limit("decode", z)),
    close: () => ae.dispose(),
  };
}

/** The exported files, run by onnxruntime-node itself. @param {"float32" | "float16"} dtype @returns {Promise<Form>} */
async function exported(dtype) {
  const folder = mkdtempSync(join(tmpdir(), "dcae-forms-"));
  const ae = await loadAutoencoder(place, { device: "cpu", threads });
  await ae.export(folder, { dtype, overwrite: true });
  await ae.dispose();
  const open = (/** @type {string} */ part) =>
    InferenceSession.create(join(folder, `${part}.onnx`), { intraOpNumThreads: threads });
  const [encoder, decoder] = [await open("encoder"), await open("decoder")];
  /** @param {InferenceSession} session @param {Tensor} x */
  const run = async (session, x) => {
    const feeds = { [/** @type {string} */ (session.inputNames[0])]: new OrtTensor("float32", x.toFloat32(), x.shape) };
    const result = /** @type {OrtTensor} */ (
      (await session.run(feeds))[/** @type {string} */ (session.outputNames[0])]
    );
    return Tensor.float32(/** @type {Float32Array} */ (result.data), /** @type {number[]} */ ([...result.dims]));
  };
  return {
    encode: (x) => run(encoder, x),
    decode: (z) => run(decoder, z),
    async close() {
      await Promise.all([encoder.release(), decoder.release()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** In Chromium, with the defaults that a page gets: WebAssembly, one thread, the model by its URL. @returns {Promise<Form>} */
async function inBrowser() {
  const folder = mkdtempSync(join(tmpdir(), "dcae-forms-"));
  const opened = await openCheckpoint(place);
  await saveCheckpoint(opened.model, opened.weights, join(folder, "model"), { dtype: "float32" });
  await opened.weights.close();
  const { url, close } = await servePage("test/browser/form-page.mjs", { model: join(folder, "model") });
  const browser = await launchChromium();
  const page = await browser.newPage();
  page.on("pageerror", (/** @type {Error} */ error) => console.error(`page: ${error.message}`));
  await page.goto(url);
  await page.waitForFunction("globalThis.runForm !== undefined");
  /** @param {"encode" | "decode"} part @param {Tensor} x */
  const run = async (part, x) => {
    const bytes = Buffer.from(x.toFloat32().buffer).toString("base64");
    // In the page, where `runForm` is.
    const call = (/** @type {unknown[]} */ given) => /** @type {any} */ (globalThis).runForm(...given);
    const made = await page.evaluate(call, [part, bytes, x.shape]);
    const data = new Uint8Array(Buffer.from(made.bytes, "base64"));
    return Tensor.float32(new Float32Array(data.buffer), made.shape);
  };
  return {
    encode: (x) => run("encode", x),
    decode: (z) => run("decode", z),
    async close() {
      await browser.close();
      close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** @type {Record<string, () => Promise<Form>>} */
const FORMS = {
  plain: () => loaded({}),
  rewritten: () => loaded({ optimize: true }),
  "exact tiles": exactTiles,
  "blended tiles": () => loaded({}, { tiling: true }),
  float16: () => loaded({ dtype: "float16" }),
  // Ranges as a user would have them, from a few pictures.
  int8: () => loaded({ dtype: "int8", calibration: { pictures: pictures.slice(0, CALIBRATED) } }),
  "ONNX export": () => exported("float32"),
  "ONNX export in float16": () => exported("float16"),
  browser: inBrowser,
};

/** Mean squared error of values in [-1, 1] that stand for [0, 1]. @param {Float32Array} a @param {Float32Array} b */
function exactPsnr(a, b) {
  const clamp = (/** @type {number} */ v) => Math.min(1, Math.max(0, (v + 1) / 2));
  const sum = a.reduce((total, value, i) => total + (clamp(value) - clamp(/** @type {number} */ (b[i]))) ** 2, 0);
  return -10 * Math.log10(sum / a.length);
}

/** Collects how far values are from the plain form's. */
function createDistance() {
  const sums = { difference: 0, square: 0, largestDifference: 0, largest: 0 };
  return {
    /** @param {Float32Array} values @param {Float32Array} plain */
    add(values, plain) {
      plain.forEach((expected, i) => {
        const difference = Math.abs(/** @type {number} */ (values[i]) - expected);
        sums.difference += difference ** 2;
        sums.square += expected ** 2;
        sums.largestDifference = Math.max(sums.largestDifference, difference);
        sums.largest = Math.max(sums.largest, Math.abs(expected));
      });
    },
    figures: () => ({
      rms: Math.sqrt(sums.difference / sums.square),
      max: sums.largestDifference / sums.largest,
    }),
  };
}

const pictures = [];
for (const name of names) pictures.push(await loadImage(join(data, name)));
/** @type {{ latent: Float32Array, picture: Float32Array }[]} */
const plain = [];
const results = [];
// The browser only by its name: it takes a Chromium, which `launchChromium` installs where it can.
const wanted = values.forms?.split(",") ?? Object.keys(FORMS).filter((name) => name !== "browser");
for (const name of new Set(["plain", ...wanted])) {
  const open = FORMS[name];
  if (open === undefined) throw new Error(`no form "${name}": ${Object.keys(FORMS).join(", ")}`);
  /** @type {Form} */
  let form;
  try {
    form = await open();
  } catch (error) {
    results.push({ form: name, refused: error instanceof Error ? error.message : String(error) });
    continue;
  }
  const [latents, reconstructions] = [createDistance(), createDistance()];
  const scores = { exact: 0, bits8: 0 };
  try {
    for (const [i, picture] of pictures.entries()) {
      const z = await form.encode(picture);
      const y = await form.decode(z);
      const made = { latent: z.toFloat32(), picture: y.toFloat32() };
      if (name === "plain") plain.push(made);
      const expected = /** @type {typeof made} */ (plain[i]);
      latents.add(made.latent, expected.latent);
      reconstructions.add(made.picture, expected.picture);
      scores.exact += exactPsnr(made.picture, picture.toFloat32()) / pictures.length;
      scores.bits8 += psnr(tensorToImage(picture), tensorToImage(y)) / pictures.length;
    }
    results.push({
      form: name,
      psnr: scores.exact,
      psnr8: scores.bits8,
      latent: latents.figures(),
      picture: reconstructions.figures(),
    });
  } catch (error) {
    results.push({ form: name, refused: error instanceof Error ? error.message : String(error) });
  } finally {
    await form.close();
  }
  console.error(JSON.stringify(results.at(-1)));
}
const text = JSON.stringify({ model, pictures: names.length, node: process.version, results }, null, 2);
console.log(text);
if (values.json !== undefined) writeFileSync(values.json, `${text}\n`);
