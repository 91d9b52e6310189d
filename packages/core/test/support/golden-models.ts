/** The tiny full autoencoders of the reference, plain and tiled. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Autoencoder, type EncodePictureOptions } from "../../src/autoencoders/autoencoder.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { parseOfficialConfig } from "../../src/models/dc-ae/official-config.js";
import { parseKlConfig } from "../../src/models/sd-vae/kl-config.js";
import type { Engine } from "../../src/runtime/index.js";
import { expectClose, MODEL_TOLERANCE } from "./compare.js";
import { type GoldenCall, type GoldenCase, goldenInfo, goldenNames, loadGolden, tensorOf } from "./golden.js";
import { createRewritingEngine, type Rewrites } from "./rewrite-engines.js";

function dcModel({ name, config, head_dim = 32, weights }: GoldenCase, engine: Engine): Autoencoder<"dc-ae"> {
  const parsed = parseOfficialConfig({ ...config, head_dim });
  const description = { kind: "dc-ae", config: parsed, scalingFactor: null, shiftFactor: null } as const;
  return new Autoencoder({ name, description, weights, engine });
}

function klModel({ name, config, weights }: GoldenCase, engine: Engine): Autoencoder<"sd-vae"> {
  return new Autoencoder({ name, description: { kind: "sd-vae", ...parseKlConfig(config) }, weights, engine });
}

export const autoencoderNames = goldenNames().filter((name) => goldenInfo(name).kind === "dcae");

/** Each case of the reference on an engine of each form: encode and decode, whole and tiled. */
export function describeGoldenModels(forms: readonly Rewrites[]): void {
  describe.each(forms)("rewrites %s", (rewrites) => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await createRewritingEngine(rewrites);
    });
    afterAll(() => engine.dispose());

    describe.each(autoencoderNames)("%s", (name) => {
      test("encode and decode", async () => {
        const golden = await loadGolden(name);
        const model = dcModel(golden, engine);
        expect(model.compression).toBe(golden.spatial_compression_ratio);
        for (const call of golden.calls) {
          const x = tensorOf(golden, call.in[0] as string);
          const channels = call.args?.latent_channels;
          const options: EncodePictureOptions = channels === undefined ? {} : { latentChannels: channels };
          const y = call.method === "encode" ? await model.encode(x, options) : await model.decode(x);
          expectClose(y, tensorOf(golden, call.out), MODEL_TOLERANCE);
        }
      });
    });

    test("tiling_dc", async () => {
      const golden = await loadGolden("tiling_dc");
      const model = dcModel(await loadGolden(golden.weights_from as string), engine);
      const args = golden.args as Readonly<Record<string, number>>;
      const tiling = {
        tile: [args.tile_sample_min_height as number, args.tile_sample_min_width as number],
        stride: [args.tile_sample_stride_height as number, args.tile_sample_stride_width as number],
      } as const;
      const methods: Readonly<Record<string, (x: Tensor) => Promise<Tensor>>> = {
        encode: (x) => model.encode(x),
        tiled_encode: (x) => model.encode(x, { tiling }),
        tiled_decode: (x) => model.decode(x, { tiling }),
      };
      expect(golden.calls).toHaveLength(4);
      for (const call of golden.calls) {
        const run = methods[call.method] as (x: Tensor) => Promise<Tensor>;
        expectClose(await run(tensorOf(golden, call.in[0] as string)), tensorOf(golden, call.out), MODEL_TOLERANCE);
      }
    });

    describe("AutoencoderKL", () => {
      const run = async (model: Autoencoder<"sd-vae">, call: GoldenCall, golden: GoldenCase): Promise<Tensor> => {
        const [x, noise] = call.in.map((name) => tensorOf(golden, name)) as [Tensor, Tensor];
        const methods: Readonly<Record<string, () => Promise<Tensor>>> = {
          kl_mode: async () => (await model.encode(x)).mode(),
          kl_std: async () => (await model.encode(x)).std,
          kl_kl: async () => (await model.encode(x)).kl(),
          kl_sample_with_eps: async () => (await model.encode(x)).sample(noise),
          kl_decode: () => model.decode(x),
          tiled_decode: () => model.decode(x, { tiling: true }),
        };
        return (methods[call.method] as () => Promise<Tensor>)();
      };

      test("kl_f8", async () => {
        const golden = await loadGolden("kl_f8");
        const model = klModel(golden, engine);
        for (const call of golden.calls) {
          const expected = tensorOf(golden, call.out);
          if (call.method !== "kl_moments") {
            expectClose(await run(model, call, golden), expected, MODEL_TOLERANCE);
            continue;
          }
          const { mean, logVariance } = await model.encode(tensorOf(golden, call.in[0] as string));
          const channels = mean.shape[1] as number;
          expectClose(mean, expected.slice([undefined, { stop: channels }]), MODEL_TOLERANCE);
          expectClose(logVariance, expected.slice([undefined, { start: channels }]), MODEL_TOLERANCE);
        }
      });

      test("tiling_kl", async () => {
        const golden = await loadGolden("tiling_kl");
        const model = klModel(await loadGolden("kl_f8"), engine);
        const moments = tensorOf(golden, "out.moments_tiled");
        const { mean, logVariance } = await model.encode(tensorOf(golden, "in.x"), { tiling: true });
        expectClose(mean, moments.slice([undefined, { stop: 4 }]), MODEL_TOLERANCE);
        expectClose(logVariance, moments.slice([undefined, { start: 4 }]), MODEL_TOLERANCE);
        const y = await model.decode(tensorOf(golden, "in.z"), { tiling: true });
        expectClose(y, tensorOf(golden, "out.y_tiled"), MODEL_TOLERANCE);
      });
    });
  });
}
