import fc from "fast-check";
import { expect, test } from "vitest";
import { formatBlockType, parseBlockType } from "../../src/blocks/block-spec.js";
import { inferModel, recognizeFormat } from "../../src/checkpoint/names/infer-model.js";
import { mapWeights, planWeights, unmapWeights } from "../../src/checkpoint/names/weight-plan.js";
import { ConfigError } from "../../src/errors.js";
import { resolveDcAeConfig } from "../../src/models/dc-ae/dc-ae-config.js";
import { parseDiffusersConfig, toDiffusersConfig } from "../../src/models/dc-ae/diffusers-config.js";
import { parseOfficialConfig, toOfficialConfig } from "../../src/models/dc-ae/official-config.js";
import { readModelConfig, toModelConfigFile } from "../../src/models/model-description.js";
import { modelParameters } from "../../src/models/model-programs.js";
import { parseLdmConfig, toLdmConfig } from "../../src/models/sd-vae/ldm-config.js";
import {
  parseKlConfig,
  resolveSdVaeConfig,
  type SdVaeConfig,
  toKlConfig,
} from "../../src/models/sd-vae/sd-vae-config.js";
import { anyBlock, anyDcAeConfig, anyStage, anyTinyConfig } from "../support/arbitrary-config.js";
import { weightsOfPlan } from "../support/memory-weights.js";

const runs = { seed: 20241014, numRuns: 300 };
const throughText = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const factor = fc.option(fc.double({ min: 0.01, max: 10, noNaN: true }), { nil: null });

test("a block's name reads as the block", () => {
  fc.assert(
    fc.property(anyBlock, (block) => {
      expect(parseBlockType(formatBlockType(block))).toEqual(block);
    }),
    runs,
  );
});

test("a resolved configuration resolves to itself", () => {
  fc.assert(
    fc.property(anyDcAeConfig("any"), (config) => {
      expect(resolveDcAeConfig(config)).toEqual(config);
    }),
    runs,
  );
});

test("configuration to official JSON and back, and JSON to configuration and back", () => {
  fc.assert(
    fc.property(anyDcAeConfig("any"), (config) => {
      const json = throughText(toOfficialConfig(config));
      expect(parseOfficialConfig(json)).toEqual(config);
      expect(throughText(toOfficialConfig(parseOfficialConfig(json)))).toEqual(json);
    }),
    runs,
  );
});

test("configuration to diffusers JSON and back", () => {
  fc.assert(
    fc.property(anyDcAeConfig("diffusers"), fc.double({ min: 0.01, max: 10, noNaN: true }), (config, scalingFactor) => {
      const json = throughText(toDiffusersConfig(config, scalingFactor));
      expect(parseDiffusersConfig(json)).toEqual({ config, scalingFactor });
    }),
    runs,
  );
});

test("a configuration either has a diffusers form with the same parameters, or is refused by name", () => {
  // Mostly what diffusers can express, with one stage that it may not, and which may have no blocks.
  const mixed = fc
    .tuple(anyDcAeConfig("diffusers"), anyStage, fc.constantFrom("encoder", "decoder"), fc.nat())
    .map(([config, stage, part, position]) => {
      const at = position % config[part].widthList.length;
      const { blockType, norm, act } = config[part];
      const changed = {
        blockType: blockType.map((own, i) => (i === at ? stage.blockType : own)),
        norm: norm.map((own, i) => (i === at ? stage.norm : own)),
        act: act.map((own, i) => (i === at ? stage.act : own)),
      };
      return { ...config, [part]: { ...config[part], ...changed } };
    });
  let expressible = 0;
  fc.assert(
    fc.property(mixed, (config) => {
      let json: unknown;
      try {
        json = throughText(toDiffusersConfig(config, null));
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        expect((error as ConfigError).message).toMatch(/: (encoder|decoder)\.\w+(\[\d+\])? is .+ but there is only /);
        return;
      }
      expressible += 1;
      const back = parseDiffusersConfig(json).config;
      // The parameters are the same; what stages without blocks hold needn't be.
      expect(modelParameters({ kind: "dc-ae", config: back })).toEqual(modelParameters({ kind: "dc-ae", config }));
    }),
    runs,
  );
  expect(expressible).toBeGreaterThan(30);
  expect(expressible).toBeLessThan(runs.numRuns);
});

test("model files in the official form keep configuration and scaling factor", () => {
  fc.assert(
    fc.property(anyDcAeConfig("any"), factor, (config, scalingFactor) => {
      const model = { kind: "dc-ae", config, scalingFactor, shiftFactor: null } as const;
      expect(readModelConfig(throughText(toModelConfigFile(model, "official")))).toEqual(model);
    }),
    runs,
  );
});

test("SD-VAE configurations keep everything", () => {
  const config = fc
    .record({
      inChannels: fc.integer({ min: 1, max: 4 }),
      outChannels: fc.integer({ min: 1, max: 4 }),
      latentChannels: fc.integer({ min: 1, max: 16 }),
      blockOutChannels: fc.array(fc.constantFrom(8, 16, 24), { minLength: 1, maxLength: 5 }),
      layersPerBlock: fc.integer({ min: 1, max: 3 }),
      normNumGroups: fc.constantFrom(1, 2, 4, 8),
      act: fc.constantFrom("silu" as const, "relu" as const, "mish" as const, "gelu_erf" as const),
      useQuantConv: fc.boolean(),
      usePostQuantConv: fc.boolean(),
      midBlockAddAttention: fc.boolean(),
      sampleSize: fc.integer({ min: 32, max: 1024 }),
      attention: fc.tuple(fc.subarray([0, 1, 2, 3, 4]), fc.subarray([0, 1, 2, 3, 4])),
    })
    .map(({ attention, ...one }) => {
      const there = (levels: readonly number[]) => levels.filter((level) => level < one.blockOutChannels.length);
      const [encoderAttentionLevels, decoderAttentionLevels] = [there(attention[0]), there(attention[1])];
      return resolveSdVaeConfig({ ...one, encoderAttentionLevels, decoderAttentionLevels });
    });
  const shift = fc.option(
    fc.double({ min: -1, max: 1, noNaN: true }).map((value) => value + 0),
    { nil: null },
  );
  fc.assert(
    fc.property(config, fc.double({ min: 0.01, max: 10, noNaN: true }), shift, (one, scalingFactor, shiftFactor) => {
      const json = throughText(toKlConfig(one, { scalingFactor, shiftFactor }));
      expect(parseKlConfig(json)).toEqual({ config: one, scalingFactor, shiftFactor });
      const specs = modelParameters({ kind: "sd-vae", config: one });
      for (const format of ["kl-diffusers", "kl-diffusers-old", "kl-ldm"] as const) expectBijection(specs, format);

      const channels = one.blockOutChannels.map((_, level) => 8 * 2 ** (level % 3));
      const official: SdVaeConfig = {
        ...one,
        act: "silu",
        midBlockAddAttention: true,
        usePostQuantConv: one.useQuantConv,
        blockOutChannels: channels,
      };
      expect(parseLdmConfig(throughText(toLdmConfig(official)))).toEqual(official);
    }),
    { ...runs, numRuns: 50 },
  );
});

function expectBijection(specs: ReturnType<typeof modelParameters>, format: Parameters<typeof planWeights>[1]): void {
  const plan = planWeights(specs, format);
  const names = plan.flatMap(({ pieces }) => pieces.map(({ name }) => name));
  expect(new Set(names).size).toBe(names.length);
  const back = unmapWeights(mapWeights(weightsOfPlan(plan), plan), plan);
  expect([...back.entries].map(([name, { shape }]) => [name, shape])).toEqual(
    plan.flatMap(({ pieces }) => pieces.map(({ name, shape }) => [name, [...shape]])),
  );
}

test("diffusers names are distinct, and the format is recognized", () => {
  fc.assert(
    fc.property(anyDcAeConfig("diffusers"), (config) => {
      const specs = modelParameters({ kind: "dc-ae", config });
      expectBijection(specs, "diffusers");
      expect(recognizeFormat(specs.map(({ name }) => name))).toBe("official");
      const plan = planWeights(specs, "diffusers");
      expect(recognizeFormat(weightsOfPlan(plan).entries.keys())).toBe("diffusers");
    }),
    { ...runs, numRuns: 50 },
  );
});

test("readers of configurations answer any JSON with a configuration or a ConfigError", () => {
  const keys = fc.constantFrom(
    ...["encoder", "decoder", "width_list", "depth_list", "block_type", "norm", "act", "in_channels", "head_dim"],
    ...["encoder_block_types", "decoder_act_fns", "encoder_qkv_multiscales", "_class_name", "model_name", "config"],
    ...["block_out_channels", "scaling_factor", "down_block_types", "__proto__", "constructor"],
  );
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>(null, true, 0, -1, 1e9, 2.5, "", "ResBlock", "AutoencoderDC", "AutoencoderKL", "trms2d"),
      fc.array(tie("json"), { maxLength: 4 }),
      fc
        .array(fc.tuple(keys, tie("json")), { maxLength: 5 })
        .map((entries) =>
          JSON.parse(`{${entries.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join()}}`),
        ),
    ),
  }));
  const readers = [parseOfficialConfig, parseDiffusersConfig, parseKlConfig, readModelConfig];
  fc.assert(
    fc.property(json, fc.constantFrom(...readers), (value, read) => {
      try {
        read(value);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        expect((error as ConfigError).message).not.toMatch(/[\n\r]|undefined|\[object/);
      }
    }),
    { ...runs, numRuns: 2000 },
  );
});

test("a tiny autoencoder's configuration to JSON and back, and from the arrays of its files", () => {
  fc.assert(
    fc.property(anyTinyConfig, (config) => {
      const model = { kind: "tiny", config, scalingFactor: 1, shiftFactor: null } as const;
      expect(readModelConfig(throughText(toModelConfigFile(model, "official")))).toEqual(model);
      const format = config.encoder === null ? "taesd-decoder" : config.decoder === null ? "taesd-encoder" : "taesd";
      const weights = weightsOfPlan(planWeights(modelParameters(model), format));
      expect(recognizeFormat(weights.entries.keys())).toBe(format);
      expect(inferModel(weights)).toEqual(model);
    }),
    runs,
  );
});
