// What scripts/run-pages.mjs has bundlers build, and runs in Chromium and in Node: the small model by the URLs of its files.
// biome-ignore lint/style/noRestrictedImports: core by its own name, so that its exports are what is tested
import * as core from "@dcae/core";
// biome-ignore lint/style/noRestrictedImports: for the same reason
import { smallF32 } from "@dcae/core/small-f32";

const { AutoencoderDC, Tensor } = core;

globalThis.runSmallModel = async (options = {}) => {
  const device = "document" in globalThis ? "wasm" : "cpu";
  const ae = await AutoencoderDC.fromPretrained(smallF32, { device, ...options });
  const side = 64;
  const wave = Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i / 97));
  const latent = await ae.encode(Tensor.float32(wave, [1, 3, side, side]));
  const picture = await ae.decode(latent);
  await ae.dispose();
  return { latent: [...latent.data], picture: [...picture.data] };
};

/** What "auto" takes, and whether there is an adapter at all, be it one that computes on the CPU; only in a browser. */
globalThis.runDevice = async () => {
  const hasAdapter = ((await navigator.gpu?.requestAdapter()) ?? null) !== null;
  const ae = await AutoencoderDC.fromPretrained(smallF32);
  const { device } = ae.engine;
  await ae.dispose();
  return { hasAdapter, device };
};

/** What differs between the forms of one picture, which a browser reads in its own ways; only there. */
globalThis.runPictures = async () => {
  const { createImage, loadImage, toBlob, toCanvas, toImage } = core;
  const image = createImage(
    64,
    32,
    Uint8Array.from({ length: 64 * 32 * 3 }, (_, i) => (i * 37) % 256),
  );
  const blob = await toBlob(image);
  const canvas = toCanvas(image, document.createElement("canvas"));
  const element = new Image();
  element.src = URL.createObjectURL(blob);
  await element.decode();
  const forms = {
    blob,
    canvas,
    element,
    image,
    "object URL": URL.createObjectURL(blob),
    "data URL": canvas.toDataURL(),
    file: new File([blob], "picture.png"),
    bytes: new Uint8Array(await blob.arrayBuffer()),
    response: new Response(blob),
    stream: blob.stream(),
    bitmap: await createImageBitmap(blob),
    pixels: canvas.getContext("2d").getImageData(0, 0, 64, 32),
    "canvas beside the page": toCanvas(image),
  };
  const wrong = [];
  for (const [name, form] of Object.entries(forms)) {
    const read = toImage(await loadImage(form));
    if (read.width !== 64 || read.height !== 32 || read.data.some((value, i) => value !== image.data[i]))
      wrong.push(name);
  }
  const refused = await Promise.all(
    [
      loadImage(5),
      loadImage(new Blob(["text"])),
      loadImage(blob, { width: 3 }),
      toBlob(image, { type: "image/gif" }),
    ].map((work) =>
      work.then(
        () => "nothing",
        (error) => `${error.name}: ${error.message}`,
      ),
    ),
  );
  return { forms: Object.keys(forms).length, wrong, refused };
};

/** Whether the page goes on while a model computes, and what ends a call and a worker; only in a browser. */
globalThis.runFree = async () => {
  const started = [];
  const terminated = [];
  const { Worker: Original } = globalThis;
  globalThis.Worker = class extends Original {
    constructor(...rest) {
      super(...rest);
      started.push(this);
    }
    terminate() {
      terminated.push(this);
      super.terminate();
    }
  };
  const ae = await AutoencoderDC.fromPretrained(smallF32, { device: "wasm" });
  await ae.warmUp({ size: 512, parts: ["encode"] });
  const picture = Tensor.zeros([1, 3, 512, 512]);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  await ae.encode(picture);
  clearInterval(timer);

  const stop = new AbortController();
  const reason = new Error("changed my mind");
  const outcome = ae.encode(picture, { signal: stop.signal }).catch((error) => error);
  setTimeout(() => stop.abort(reason), 20);
  const aborted = (await outcome) === reason;
  // What was given up may still compute; the next call is answered nevertheless.
  const { shape } = await ae.encode(Tensor.zeros([1, 3, 64, 64]));
  const before = terminated.length;
  await ae.dispose();
  globalThis.Worker = Original;
  return {
    ticks,
    aborted,
    shape: shape.join("x"),
    workers: started.length,
    ended: before === 0 && terminated.length === started.length,
  };
};
