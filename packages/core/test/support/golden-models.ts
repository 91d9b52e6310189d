/** The tiny full autoencoders of the reference, plain and tiled. */
import { expectClose, MODEL_TOLERANCE } from "@dcae/test-support/compare";
import { type DcAeCase, dcAeCases, dcAeNames, type GoldenCall, officialConfigOf } from "@dcae/test-support/golden-dcae";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Autoencoder, type EncodePictureOptions } from "../../src/autoencoders/autoencoder.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { parseOfficialConfig } from "../../src/models/dc-ae/official-config.js";
import type { DiagonalGaussian } from "../../src/models/latent.js";
import { parseKlConfig } from "../../src/models/sd-vae/sd-vae-config.js";
import type { Engine } from "../../src/runtime/index.js";
import { createRewritingEngine, type Rewrites } from "./rewrite-engines.js";

function dcModel(golden: DcAeCase, engine: Engine): Autoencoder<"dc-ae"> {
  const { name, weights } = golden;
  const config = parseOfficialConfig(officialConfigOf(golden));
  const description = { kind: "dc-ae", config, scalingFactor: null, shiftFactor: null } as const;
  return new Autoencoder({ name, description, weights, engine });
}

function klModel({ name, config, weights }: DcAeCase, engine: Engine): Autoencoder<"sd-vae"> {
  return new Autoencoder({ name, description: { kind: "sd-vae", ...parseKlConfig(config) }, weights, engine });
}

export const autoencoderNames = dcAeNames("autoencoder");

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
        const golden = await dcAeCases.load(name);
        const model = dcModel(golden, engine);
        expect(model.compression).toBe(golden.spatial_compression_ratio);
        for (const call of golden.calls) {
          const x = golden.tensor(call.in[0] as string);
          const channels = call.args?.latent_channels;
          const options: EncodePictureOptions = channels === undefined ? {} : { latentChannels: channels };
          const y = call.method === "encode" ? await model.encode(x, options) : await model.decode(x);
          expectClose(y, golden.tensor(call.out), MODEL_TOLERANCE);
        }
      });
    });

    test.each(dcAeNames("tiling", "autoencoder_dc"))("%s", async (name) => {
      const golden = await dcAeCases.load(name);
      const model = dcModel(await dcAeCases.load(golden.weights_from as string), engine);
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
      expect(golden.calls.length).toBeGreaterThan(0);
      for (const call of golden.calls) {
        const run = methods[call.method] as (x: Tensor) => Promise<Tensor>;
        expectClose(await run(golden.tensor(call.in[0] as string)), golden.tensor(call.out), MODEL_TOLERANCE);
      }
    });

    describe("AutoencoderKL", () => {
      const run = async (model: Autoencoder<"sd-vae">, call: GoldenCall, golden: DcAeCase): Promise<Tensor> => {
        const [x, noise] = call.in.map((name) => golden.tensor(name)) as [Tensor, Tensor];
        const methods: Readonly<Record<string, () => Promise<Tensor>>> = {
          kl_mode: async () => (await model.encode(x)).mode(),
          kl_std: async () => (await model.encode(x)).std,
          kl_kl: async () => (await model.encode(x)).kl(),
          kl_sample_with_eps: async () => (await model.encode(x)).sample(noise),
          kl_decode: () => model.decode(x),
        };
        return (methods[call.method] as () => Promise<Tensor>)();
      };

      const expectMoments = ({ mean, logVariance }: DiagonalGaussian, expected: Tensor): void => {
        const channels = (expected.shape[1] as number) / 2;
        expectClose(mean, expected.slice([undefined, { stop: channels }]), MODEL_TOLERANCE);
        expectClose(logVariance, expected.slice([undefined, { start: channels }]), MODEL_TOLERANCE);
      };

      test.each(dcAeNames("autoencoder_kl"))("%s", async (name) => {
        const golden = await dcAeCases.load(name);
        const model = klModel(golden, engine);
        for (const call of golden.calls) {
          const expected = golden.tensor(call.out);
          if (call.method !== "kl_moments") {
            expectClose(await run(model, call, golden), expected, MODEL_TOLERANCE);
            continue;
          }
          expectMoments(await model.encode(golden.tensor(call.in[0] as string)), expected);
        }
      });

      // The tiles' sizes and overlap follow from the model's configuration, as in the reference.
      test.each(dcAeNames("tiling", "autoencoder_kl"))("%s", async (name) => {
        const golden = await dcAeCases.load(name);
        const model = klModel(await dcAeCases.load(golden.weights_from as string), engine);
        expect(golden.calls.length).toBeGreaterThan(0);
        for (const {
          method,
          in: [key],
          out,
        } of golden.calls) {
          const [x, expected] = [golden.tensor(key as string), golden.tensor(out)];
          if (method === "tiled_encode") expectMoments(await model.encode(x, { tiling: true }), expected);
          else expectClose(await model.decode(x, { tiling: true }), expected, MODEL_TOLERANCE);
        }
      });
    });
  });
}
