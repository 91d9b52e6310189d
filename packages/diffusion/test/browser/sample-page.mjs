// What scripts/run-pages.mjs has bundlers build, and runs in Chromium and in Node: the bundled diffusion model by the URLs of its files.
// biome-ignore lint/style/noRestrictedImports: diffusion by its own name, so that its exports are what is tested
import { ClassConditionalPipeline } from "@dcae/diffusion";
// biome-ignore lint/style/noRestrictedImports: for the same reason
import { usitScenes } from "@dcae/diffusion/usit-scenes";

const device = "document" in globalThis ? "wasm" : "cpu";
const settings = { labels: ["city"], steps: 3, seed: 5, guidance: 2 };

/** A latent and a picture of one class, in few steps, and how often a step was reported. */
globalThis.runSample = async () => {
  const pipeline = await ClassConditionalPipeline.fromPretrained(usitScenes, { device });
  let steps = 0;
  const latents = await pipeline.sampleLatents({ ...settings, onStep: () => steps++ });
  const picture = await pipeline.decode(latents);
  await pipeline.dispose();
  return { steps, latents: [...latents.data], picture: [...picture.data] };
};

/** The same model from files that somebody chose, and through a cache by name; only in a browser. */
globalThis.runSources = async () => {
  const options = { device, autoencoder: null };
  const latentsOf = async (source, more = {}) => {
    const pipeline = await ClassConditionalPipeline.fromPretrained(source, { ...options, ...more });
    const latents = await pipeline.sampleLatents(settings);
    await pipeline.dispose();
    return [...latents.data];
  };
  const fileOf = async (url, name) => new File([await (await fetch(url)).blob()], name);
  const chosen = await latentsOf({
    name: "chosen",
    config: await fileOf(usitScenes.config, "config.json"),
    weights: await fileOf(usitScenes.weights, "model.safetensors"),
  });
  const progress = [];
  const kept = await latentsOf(usitScenes, {
    cache: "models",
    onProgress: ({ file, loadedBytes }) => progress.push([file, loadedBytes]),
  });
  // Bundlers write small files into their address: those come from no server.
  const inline = async (url) => {
    if (String(url).startsWith("data:")) return fetch(url);
    throw new Error("nothing is to be asked for again");
  };
  const again = await latentsOf(usitScenes, { cache: "models", fetch: inline });
  const named = await ClassConditionalPipeline.fromPretrained("usit-scenes").catch((error) => error.hint);
  return { chosen, kept, again, progress: progress.at(-1), named };
};
