import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AutoencoderDC, CheckpointError, ConfigError, tensorToImages } from "@dcae/core";
import { openSafetensorsFile, tensorEntries, type WeightEntry, writeSafetensorsFile } from "@dcae/core/checkpoint";
import { Tensor } from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { expectClose } from "@dcae/test-support/compare";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterEach, describe, expect, it } from "vitest";
import { denoiserParameters } from "../../src/denoisers/denoise.js";
import { toChannelScale } from "../../src/latents/channel-scale.js";
import { ClassConditionalPipeline } from "../../src/pipeline/class-conditional-pipeline.node.js";
import type { DenoiserDescription } from "../../src/pipeline/denoiser-checkpoint.js";
import { openDenoiser, saveDenoiser } from "../../src/pipeline/open-denoiser.node.js";
import { sampleLatents } from "../../src/pipeline/sample-latents.js";
import { SAMPLERS } from "../../src/pipeline/sampler-choice.js";
import { tinyAutoencoder, tinyDescription, tinyWeights } from "../support/tiny-models.js";

const root = temporaryFolder();
let folders = 0;
const fresh = () => join(root, `model-${folders++}`);

const pipelines: ClassConditionalPipeline[] = [];
afterEach(async () => {
  for (const pipeline of pipelines.splice(0)) await pipeline.dispose();
});

async function pipelineOf(description: DenoiserDescription, withDecoder = false): Promise<ClassConditionalPipeline> {
  const pipeline = new ClassConditionalPipeline({
    name: "tiny",
    description,
    weights: tinyWeights(description),
    engine: await createEngine({ device: "cpu", threads: 1 }),
    decoder: withDecoder ? await tinyAutoencoder() : null,
    scalingFactor: description.scalingFactor,
  });
  pipelines.push(pipeline);
  return pipeline;
}

const recipes = {
  noise: tinyDescription("uvit"),
  gaussian: tinyDescription("dit"),
  flow: tinyDescription("uvit", { train_scheduler: "SiTSampler" }),
  sana: tinyDescription("sana_cls"),
  uni: tinyDescription("dit", { train_scheduler: "UniTrainScheduler", learn_sigma: false }),
};
const fitting = {
  noise: ["dpm-solver++"],
  gaussian: ["ddpm", "ddim", "unipc", "dpm-solver-singlestep"],
  flow: ["euler", "heun", "midpoint", "rk4", "dopri5", "sde"],
  sana: ["sana"],
  uni: ["uni", "uni-sde"],
} as const;

it("samples of a model with normalized channels are taken back", async () => {
  const channels = { mean: [0, 1, 2, 3, 4, 5, 6, 7], std: [1, 2, 3, 4, 5, 6, 7, 0.5] };
  const [plain, normalized] = [await pipelineOf(recipes.noise), await pipelineOf({ ...recipes.noise, channels })];
  const options = { labels: [0, 2], steps: 3, seed: 3 };
  const [seen, latents] = [await plain.sampleLatents(options), await normalized.sampleLatents(options)];
  const expected = seen.map((value, i) => {
    const channel = Math.floor(i / 16) % 8;
    return value * (channels.std[channel] as number) + (channels.mean[channel] as number);
  });
  expect(latents.data).toEqual(expected.data);
  expectClose(toChannelScale(latents, channels), seen, 1e-5);
});

describe("an adaptive model", () => {
  const adaptive = tinyDescription("uvit", { adaptive_channel: true });

  it.each(["uvit", "dit", "sana_cls"])("samples its first channels: %s", async (arch) => {
    const pipeline = await pipelineOf(tinyDescription(arch, { adaptive_channel: true }));
    const options = { labels: [0, 2], steps: 3, seed: 3, guidance: 2 };
    const few = await pipeline.sampleLatents({ ...options, latentChannels: 3 });
    expect(few.shape).toEqual([2, 3, 4, 4]);
    expect([...few.data].every(Number.isFinite)).toBe(true);
    // With all of them it is as without the option, and fewer aren't simply the first of those.
    const all = await pipeline.sampleLatents(options);
    expect(await pipeline.sampleLatents({ ...options, latentChannels: 8 })).toEqual(all);
    expect(all.slice([undefined, { stop: 3 }]).toFloat32()).not.toEqual(few.toFloat32());
  });

  it("begins with the first channels of the noise, and its channels are taken back to their scale", async () => {
    const channels = { mean: [1, 2, 3, 4, 5, 6, 7, 8], std: [2, 3, 2, 2, 2, 2, 2, 2] };
    const begins = async (latentChannels?: number) => {
      const seen: Tensor[] = [];
      const forward = async (x: Tensor) => {
        seen.push(x);
        return Tensor.zeros(x.shape);
      };
      const options = { steps: 3, seed: 5, latentChannels };
      const latents = await sampleLatents(forward, { ...adaptive, channels }, [1, 2], options);
      return { noise: seen[0] as Tensor, latents };
    };
    const [few, all] = [await begins(2), await begins()];
    expect(few.noise.shape).toEqual([2, 2, 4, 4]);
    const first = (x: Tensor) => x.slice([undefined, { stop: 2 }]).toFloat32();
    expect(few.noise.toFloat32()).toEqual(first(all.noise));
    // The model changes nothing, so that each channel is only taken back by its own numbers.
    expect(few.latents.toFloat32()).toEqual(first(all.latents));
  });

  it("refuses channels that aren't there, and others refuse fewer", async () => {
    const [pipeline, plain] = [await pipelineOf(adaptive, true), await pipelineOf(recipes.noise)];
    const sample = (latentChannels: number, from = pipeline, more = {}) =>
      from.sampleLatents({ labels: [0], steps: 3, latentChannels, ...more });
    for (const count of [0, 9, 2.5]) await expect(sample(count)).rejects.toThrow(/isn't an integer from 1 to 8/);
    await expect(sample(4, plain)).rejects.toThrow(/the model isn't adaptive, it samples all of its 8 channels/);
    await expect(sample(4, pipeline, { guidance: 2, guidanceChannels: 5 })).rejects.toThrow(
      /5 channels .* only 4 are sampled/,
    );
    // Its autoencoder takes all channels only, which is known before anything is sampled.
    const generated = pipeline.generate({ labels: [0], steps: 3, latentChannels: 4 });
    await expect(generated).rejects.toThrow(/takes 8 latent channels, but tiny has 4/);
  });
});

it("several autoencoders decode the same samples", async () => {
  const pipeline = await pipelineOf(recipes.noise, true);
  const other = await tinyAutoencoder(7);
  const { images, latents } = await pipeline.generate({ labels: [0], steps: 3 });
  const [own, others] = [await pipeline.decode(latents), await pipeline.decode(latents, other)];
  expect(tensorToImages(own)[0]!.data).toEqual(images[0]!.data);
  expect(others.shape).toEqual(own.shape);
  expect(others.toFloat32()).not.toEqual(own.toFloat32());
  const unscaled = latents.map((value) => value / (recipes.noise.scalingFactor as number));
  expectClose(others, await other.decode(unscaled), 1e-5);
  await other.dispose();
});

describe.each(["noise", "gaussian", "flow", "sana", "uni"] as const)("a model of %s", (kind) => {
  it("samples with every fitting sampler: the same for the same seed, in batches of any size", async () => {
    const pipeline = await pipelineOf(recipes[kind]);
    for (const sampler of fitting[kind]) {
      const steps = sampler === "dopri5" ? {} : { steps: 4 };
      const options = { labels: [0, 2, 1], guidance: 2, sampler, seed: 5, ...steps };
      const whole = await pipeline.sampleLatents(options);
      expect(whole.shape).toEqual([3, 8, 4, 4]);
      const again = await pipeline.sampleLatents(options);
      expect(again.data).toEqual(whole.data);
      if (sampler !== "dopri5") {
        expectClose(await pipeline.sampleLatents({ ...options, batchSize: 2 }), whole, 1e-4);
        const tail = await pipeline.sampleLatents({ ...options, labels: [2, 1], offset: 1 });
        expectClose(tail, whole.slice([{ start: 1 }]), 1e-4);
      }
      const other = await pipeline.sampleLatents({ ...options, seed: 6 });
      expect(other.data).not.toEqual(whole.data);
      const unguided = await pipeline.sampleLatents({ ...options, guidance: 1 });
      expect(unguided.data).not.toEqual(whole.data);
    }
  });

  it("refuses the samplers of others, and labels that are no classes", async () => {
    const pipeline = await pipelineOf(recipes[kind]);
    const byDefault = await pipeline.sampleLatents({
      labels: [1],
      batchSize: 1,
      ...(kind === "flow" ? {} : { steps: 3 }),
    });
    expect(byDefault.shape).toEqual([1, 8, 4, 4]);
    for (const sampler of SAMPLERS.filter((name) => !(fitting[kind] as readonly string[]).includes(name))) {
      await expect(pipeline.sampleLatents({ labels: [0], sampler })).rejects.toThrow(/doesn't fit a model trained by/);
    }
    await expect(pipeline.sampleLatents({ labels: [0], sampler: "plms" as never })).rejects.toThrow(/unknown sampler/);
    await expect(pipeline.sampleLatents({ labels: [4] })).rejects.toThrow(/label 4 isn't a class/);
    await expect(pipeline.sampleLatents({ labels: ["cat"] })).rejects.toThrow(ConfigError);
  });
});

describe("the pipeline", () => {
  it("reports steps, stops when asked, and knows options without effect", async () => {
    const pipeline = await pipelineOf(recipes.flow);
    const steps: string[] = [];
    const controller = new AbortController();
    const run = pipeline.sampleLatents({
      labels: [0, 1],
      batchSize: 1,
      sampler: "euler",
      steps: 3,
      onStep: ({ step, total }, first) => {
        steps.push(`${first}: ${step}/${total}`);
        if (first === 1 && step === 2) controller.abort(new Error("enough"));
      },
      signal: controller.signal,
    });
    await expect(run).rejects.toThrow("enough");
    expect(steps).toEqual(["0: 1/3", "0: 2/3", "0: 3/3", "1: 1/3", "1: 2/3"]);
    const refused = (options: object) => expect(pipeline.sampleLatents({ labels: [0], ...options })).rejects;
    await refused({ sampler: "dopri5", steps: 9 }).toThrow(/no effect/);
    await refused({ sampler: "euler", steps: 0 }).toThrow(/euler takes 1 or more steps, got 0/);
    await refused({ guidance: 2, guidanceChannels: 9 }).toThrow(/9 channels are to be guided, but the model has 8/);
    await refused({ guidance: 2, guidanceInterval: [200, 800] }).toThrow(
      /no time of the model lies between 200 and 800/,
    );
    const gaussian = await pipelineOf(recipes.gaussian);
    await expect(gaussian.sampleLatents({ labels: [0], sampler: "ddim", steps: 1001 })).rejects.toThrow(
      /sampler ddim takes 2 to 1000 steps, got 1001/,
    );
  });

  it("decodes samples to pictures", async () => {
    const pipeline = await pipelineOf(recipes.noise, true);
    const { images, latents } = await pipeline.generate({ labels: [1, 2], steps: 3 });
    expect(images.map(({ width, height }) => [width, height])).toEqual([
      [8, 8],
      [8, 8],
    ]);
    expect(latents.shape).toEqual([2, 8, 4, 4]);
    await expect((await pipelineOf(recipes.noise)).generate({ labels: [1], steps: 3 })).rejects.toThrow(
      /without an autoencoder/,
    );
  });

  it("guides only models with a null class", async () => {
    const pipeline = await pipelineOf(tinyDescription("uvit", { class_dropout_prob: 0 }));
    await expect(pipeline.sampleLatents({ labels: [0], guidance: 2, steps: 3 })).rejects.toThrow(/no null class/);
  });

  it("gives one raw forward pass", async () => {
    const pipeline = await pipelineOf(recipes.gaussian);
    const x = Tensor.full([2, 8, 4, 4], 0.5);
    const y = await pipeline.denoise(x, Tensor.float32([10, 500]), new Tensor("int32", Int32Array.of(0, 3), [2]));
    expect(y.shape).toEqual([2, 16, 4, 4]);
    await expect(
      pipeline.denoise(x, Tensor.float32([1]), new Tensor("int32", Int32Array.of(0, 3), [2])),
    ).rejects.toThrow(/x has 2 samples, t is \[1\]/);
  });
});

describe("folders", () => {
  it.each([
    ["uvit", {}],
    ["dit", {}],
    ["dit", { learn_sigma: false, train_scheduler: "SiTSampler", guidance_t_max: 0.7, use_guidance_interval: true }],
    ["sana_cls", {}],
  ])("hold a %s with its configuration", async (arch, changes) => {
    const folder = fresh();
    const description = {
      ...tinyDescription(arch, changes),
      classes: ["a", "b", "c"],
      autoencoder: "dc-ae-f32c32-in-1.0",
    };
    await saveDenoiser(folder, description, tinyWeights(description));
    const opened = await openDenoiser(folder);
    expect(opened.description).toEqual(description);
    expect(opened.autoencoderWeights).toBeUndefined();
    for (const [name, entry] of tinyWeights(description).entries) {
      expect((await opened.weights.entries.get(name)!.read()).data).toEqual((await entry.read()).data);
    }
    await opened.weights.close();
  });

  it("load with their autoencoder, and sample by class name", async () => {
    const [folder, codec] = [fresh(), fresh()];
    const description = { ...tinyDescription("uvit"), classes: ["a", "b", "c"], autoencoder: codec };
    await saveDenoiser(folder, description, tinyWeights(description));
    const tiny = await tinyAutoencoder();
    const { saveCheckpoint } = await import("@dcae/core/internal");
    await saveCheckpoint(tiny.description, tiny.weights, codec);
    await tiny.dispose();

    const pipeline = await ClassConditionalPipeline.fromPretrained(folder, { device: "cpu", threads: 1 });
    pipelines.push(pipeline);
    const named = await pipeline.generate({ labels: ["c"], steps: 3, guidance: 1.5 });
    const numbered = await pipeline.generate({ labels: [2], steps: 3, guidance: 1.5 });
    expect(named.latents.data).toEqual(numbered.latents.data);
    const autoencoder = await AutoencoderDC.fromPretrained(codec, { device: "cpu", threads: 1 });
    const decoded = await autoencoder.decode(named.latents, { scaled: true });
    await autoencoder.dispose();
    expectClose(await pipeline.decode(named.latents), decoded, 1e-6);
    await expect(pipeline.generate({ labels: ["d"] })).rejects.toThrow(/label "d" isn't a class/);
  });

  it("of a pipeline are laid out as diffusers has them, and load wherever they are moved to", async () => {
    const description = {
      ...recipes.noise,
      classes: ["a", "b", "c"],
      autoencoder: "dc-ae-f32c32-in-1.0",
      scalingFactor: null,
    };
    const parts = {
      name: "tiny",
      description,
      weights: tinyWeights(description),
      scalingFactor: 0.25,
      shiftFactor: 0.125,
    };
    const engine = await createEngine({ device: "cpu", threads: 1 });
    const pipeline = new ClassConditionalPipeline({ ...parts, engine, decoder: await tinyAutoencoder() });
    pipelines.push(pipeline);
    const [saved, moved] = [fresh(), fresh()];
    await pipeline.savePretrained(saved);
    expect(readdirSync(saved).sort()).toEqual(["README.md", "model_index.json", "transformer", "vae"]);
    expect(JSON.parse(readFileSync(join(saved, "model_index.json"), "utf8"))).toEqual({
      _class_name: "ClassConditionalPipeline",
      _diffusers_version: "0.35.0",
      transformer: ["@dcae/diffusion", "uvit"],
      vae: ["diffusers", "AutoencoderDC"],
    });
    expect(readdirSync(join(saved, "vae")).sort()).toContain("diffusion_pytorch_model.safetensors");
    expect(readFileSync(join(saved, "README.md"), "utf8")).toContain('labels: ["a"]');
    await expect(pipeline.savePretrained(saved)).rejects.toThrow("isn't empty");

    writeFileSync(join(saved, "README.md"), "mine");
    await pipeline.savePretrained(saved, { overwrite: true });
    expect(readFileSync(join(saved, "README.md"), "utf8")).toBe("mine");
    renameSync(saved, moved);
    const again = await ClassConditionalPipeline.fromPretrained(moved, { device: "cpu", threads: 1 });
    pipelines.push(again);
    expect(again.latentScale).toEqual({ factor: 0.25, shift: 0.125 });
    const options = { labels: ["c", "a"], steps: 3, guidance: 1.5, seed: 4 };
    const [expected, loaded] = [await pipeline.generate(options), await again.generate(options)];
    expect(loaded.latents.data).toEqual(expected.latents.data);
    expect(loaded.images.map(({ data }) => data)).toEqual(expected.images.map(({ data }) => data));
    const alone = await AutoencoderDC.fromPretrained(join(moved, "vae"), { device: "cpu", threads: 1 });
    await alone.dispose();
  });

  it("of a pipeline without an autoencoder name the one that belongs to it", async () => {
    const pipeline = await pipelineOf({ ...recipes.flow, autoencoder: "dc-ae-f32c32-in-1.0" });
    const folder = fresh();
    await pipeline.savePretrained(folder);
    expect(JSON.parse(readFileSync(join(folder, "model_index.json"), "utf8")).vae).toEqual([null, null]);
    const { description, weights } = await openDenoiser(folder);
    await weights.close();
    expect(description).toEqual(pipeline.description);
    const card = readFileSync(join(folder, "transformer", "README.md"), "utf8");
    expect(card).toContain("Its latents are of `dc-ae-f32c32-in-1.0`.");
    expect(card).toContain("the scale `(latent - 0) * 0.5`");
  });

  it("of other pipelines, or of none, are refused by name", async () => {
    const folder = fresh();
    mkdirSync(folder);
    const opened = async (index: unknown) => {
      writeFileSync(join(folder, "model_index.json"), JSON.stringify(index));
      return openDenoiser(folder);
    };
    await expect(opened({ _class_name: "StableDiffusion3Pipeline" })).rejects.toThrow(
      '_class_name is "StableDiffusion3Pipeline" but must be "ClassConditionalPipeline"',
    );
    await expect(opened([])).rejects.toThrow("_class_name is missing");
    await expect(opened({ _class_name: "ClassConditionalPipeline", tansformer: ["a", "b"] })).rejects.toThrow(
      'names no denoiser: "transformer" must be its library and class; did you mean "tansformer"?',
    );
    writeFileSync(join(folder, "model_index.json"), "{");
    await expect(openDenoiser(folder)).rejects.toThrow(ConfigError);
    const byHand = new ClassConditionalPipeline({
      name: "tiny",
      description: recipes.noise,
      weights: tinyWeights(recipes.noise),
      engine: await createEngine({ device: "cpu", threads: 1 }),
      decoder: { name: "mine", decode: async (x) => x.cast("float32"), dispose: async () => undefined },
      scalingFactor: 1,
    });
    pipelines.push(byHand);
    await expect(byHand.savePretrained(fresh())).rejects.toThrow("the autoencoder mine was made by hand");
  });

  it("refuse words about the form that contradict each other before anything is opened", async () => {
    const opened = ClassConditionalPipeline.fromPretrained(join(root, "nowhere"), { dtype: "float16", optimize: true });
    await expect(opened).rejects.toThrow(/optimize: it has no effect with dtype float16/);
  });

  it("are refused when the weights are another model's", async () => {
    const folder = fresh();
    const [uvit, deeper] = [tinyDescription("uvit"), tinyDescription("uvit", { depth: 4 })];
    await saveDenoiser(folder, uvit, tinyWeights(uvit));
    const config = { ...JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) };
    config.model.depth = deeper.config.depth;
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    await expect(openDenoiser(folder)).rejects.toThrow(CheckpointError);
    await expect(openDenoiser(folder)).rejects.toThrow(/missing "in_blocks\.1\./);
    config.model_name = "dc-ae-nothing";
    delete config.arch;
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    await expect(openDenoiser(folder)).rejects.toThrow(/"dc-ae-nothing" isn't a published diffusion model/);
  });
});

describe("files of others", () => {
  const renamed = (entries: Iterable<WeightEntry>, prefix: string) =>
    [...entries].map((entry) => ({ ...entry, name: `${prefix}${entry.name}` }));

  it("hold both networks of a published model under prefixes", async () => {
    const path = join(root, "both.safetensors");
    const description = tinyDescription("uvit");
    const other = tensorEntries([["autoencoder.encoder.x", Tensor.full([2], 1)]]);
    await writeSafetensorsFile(path, [
      ...renamed(tinyWeights(description).entries.values(), "diffusion_model."),
      ...other,
    ]);
    const model = {
      input_size: 4,
      in_channels: 8,
      hidden_size: 16,
      depth: 2,
      patch_size: 1,
      num_classes: 3,
      num_heads: 2,
    };
    const opened = await openDenoiser(path, { denoiser: { arch: "uvit", model } });
    expect(opened.weights.entries.size).toBe(denoiserParameters(description.config).length);
    expect([...opened.autoencoderWeights!.entries.keys()]).toEqual(["encoder.x"]);
    await opened.weights.close();
  });

  it("are told apart by their shapes, the averaged copy first, without a stored position embedding", async () => {
    const path = join(root, "training.safetensors");
    const description = tinyDescription("dit", { hidden_size: 384, num_heads: 6, depth: 1, in_channels: 4 });
    const all = [...tinyWeights(description).entries.values()];
    const zeros = all.map((entry) => ({ ...entry, read: async () => Tensor.zeros(entry.shape) }));
    await writeSafetensorsFile(path, [...renamed(zeros, "model_state_dict.0."), ...renamed(all, "ema.0.9999.0.")]);
    const opened = await openDenoiser(path);
    expect(opened.description).toMatchObject({
      config: description.config,
      recipe: { trainScheduler: "GaussianDiffusion", cfgChannels: 3 },
    });
    const [weight, expected] = [opened.weights, tinyWeights(description)].map(({ entries }) =>
      entries.get("blocks.0.attn.qkv.weight"),
    );
    expect((await weight!.read()).data).toEqual((await expected!.read()).data);
    await opened.weights.close();

    const without = join(root, "without.safetensors");
    await writeSafetensorsFile(
      without,
      all.filter(({ name }) => name !== "pos_embed"),
    );
    const model = {
      input_size: 4,
      in_channels: 4,
      hidden_size: 384,
      depth: 1,
      patch_size: 1,
      num_classes: 3,
      num_heads: 6,
    };
    const completed = await openDenoiser(without, { denoiser: { arch: "dit", model } });
    const position = await completed.weights.entries.get("pos_embed")!.read();
    expect(position.data).toEqual((await expectedPosition(description)).data);
    await completed.weights.close();
    await expect(openDenoiser(without)).rejects.toThrow(/can't tell the configuration/);
  });

  it("that hold no denoiser are refused", async () => {
    const path = join(root, "vae.safetensors");
    await writeSafetensorsFile(path, tensorEntries([["encoder.conv_in.weight", Tensor.zeros([1])]]));
    await expect(openDenoiser(path)).rejects.toThrow(/holds no UViT, DiT or SANA-cls/);
    expect((await openSafetensorsFile(path)).entries.size).toBe(1);
  });
});

async function expectedPosition(description: DenoiserDescription): Promise<Tensor> {
  return tinyWeights(description).entries.get("pos_embed")!.read();
}
