import { describe, expect, test } from "vitest";
import { checkWeights, mapWeights, planWeights, unmapWeights } from "../../src/checkpoint/names/weight-plan.js";
import { CheckpointError } from "../../src/errors.js";
import { parseOfficialConfig } from "../../src/models/dc-ae/official-config.js";
import { modelParameters } from "../../src/models/model-programs.js";
import { errorOf } from "../support/error-of.js";
import { changed, weightsOfPlan } from "../support/memory-weights.js";

const config = {
  latent_channels: 2,
  head_dim: 4,
  encoder: {
    width_list: [4, 4, 8, 8, 16, 16],
    depth_list: [0, 1, 2, 1, 1, 1],
    block_type: ["ResBlock", "ResBlock", "ResBlock", "EViTGLU", "EViTGLU", "EViTGLU"],
  },
  decoder: {
    width_list: [4, 4, 8, 8, 16, 16],
    depth_list: [0, 2, 1, 1, 1, 1],
    block_type: ["ResBlock", "ResBlock", "ResBlock", "EViTGLU", "EViTGLU", "EViTGLU"],
    norm: ["bn2d", "bn2d", "bn2d", "trms2d", "trms2d", "trms2d"],
    act: ["relu", "relu", "relu", "silu", "silu", "silu"],
  },
};
const specs = modelParameters({ kind: "dc-ae", config: parseOfficialConfig(config) });
const plan = planWeights(specs, "diffusers");
const good = weightsOfPlan(plan, "model.safetensors");

describe("checkWeights", () => {
  test("accepts exactly the model's arrays, in any float type", () => {
    expect(() => checkWeights(plan, good)).not.toThrow();
    const half = plan.flatMap(({ spec, pieces }) =>
      pieces.map(({ name, shape }) => [name, { shape, dtype: spec.dtype === "int64" ? "int32" : "float16" }] as const),
    );
    expect(() => checkWeights(plan, changed(good, Object.fromEntries(half) as never))).not.toThrow();
  });

  test("lists everything that is wrong under the file's names", () => {
    const bad = changed(good, {
      "encoder.conv_in.conv.bias": null,
      "decoder.extra": { shape: [2, 3] },
      "encoder.conv_out.weight": { shape: [2, 16, 1, 1] },
      "decoder.norm_out.bias": { shape: [4], dtype: "int32" },
      "decoder.up_blocks.0.bad\nname": { shape: [] },
      "encoder.down_blocks.3.0.attn.to_k.weight": { shape: [8, 8], dtype: "bfloat16" },
    });
    const { message } = errorOf(CheckpointError, () => checkWeights(plan, bad, { model: "tiny" }));
    expect(message.split("\n")).toEqual([
      "model.safetensors: these tensors don't fit tiny: 1 missing, 2 unexpected, 1 misshaped, 2 of another type",
      '  missing "encoder.conv_in.conv.bias" [1]',
      '  "encoder.down_blocks.3.0.attn.to_q.weight", "encoder.down_blocks.3.0.attn.to_k.weight", "encoder.down_blocks.3.0.attn.to_v.weight" must have one dtype but have float32, bfloat16',
      '  "encoder.conv_out.weight" is [2, 16, 1, 1] but must be [2, 16, 3, 3]',
      '  "decoder.norm_out.bias" is int32 but must be a float type',
      '  unexpected "decoder.extra" [2, 3]',
      '  unexpected "decoder.up_blocks.0.bad\\nname" []',
    ]);
  });

  test("counts what it doesn't list, and says what the file looks like", () => {
    const error = errorOf(CheckpointError, () =>
      checkWeights(plan, { ...good, entries: new Map() }, { identify: () => ["dc-ae-f32c32-sana-1.0"] }),
    );
    const lines = error.message.split("\n");
    const counters = specs.filter(({ name }) => name.endsWith("num_batches_tracked")).length;
    expect(lines).toHaveLength(22);
    expect(lines.at(-1)).toBe(`  and ${good.entries.size - counters - 20} more`);
    expect(error.hint).toBe("This looks like dc-ae-f32c32-sana-1.0.");
  });

  test("a file of one format doesn't pass for another", () => {
    expect(() => checkWeights(planWeights(specs, "official"), good)).toThrow(CheckpointError);
  });

  test("batch counters may be missing, and are 0 then; nothing else may", async () => {
    for (const { spec, pieces } of plan) {
      const without = changed(good, Object.fromEntries(pieces.map(({ name }) => [name, null])));
      if (!spec.name.endsWith("num_batches_tracked")) {
        expect(() => checkWeights(plan, without)).toThrow(CheckpointError);
        continue;
      }
      checkWeights(plan, without);
      const tensor = await mapWeights(without, plan).entries.get(spec.name)?.read();
      expect([tensor?.dtype, tensor?.shape, tensor?.at()]).toEqual(["int64", [], 0n]);
    }
  });
});

describe("mapWeights and unmapWeights", () => {
  test("refuse weights that lack an array", () => {
    const without = changed(good, { "encoder.down_blocks.3.0.attn.to_k.weight": null });
    expect(() => mapWeights(without, plan)).toThrow(/lacks tensors for the parameter "encoder\.stages\.3\.op_list\.0/);
    expect(() => unmapWeights({ ...good, entries: new Map() }, plan)).toThrow(/lacks the parameter/);
  });

  test("a joined array is read once for all of its pieces", async () => {
    const name = "encoder.stages.3.op_list.0.context_module.main.qkv.conv.weight";
    let reads = 0;
    const official = weightsOfPlan(planWeights(specs, "official"));
    const entry = official.entries.get(name);
    if (entry === undefined) throw new Error("no such parameter");
    const entries = new Map(official.entries);
    const read = () => {
      reads += 1;
      return entry.read();
    };
    entries.set(name, { ...entry, read });
    const file = unmapWeights({ ...official, entries }, plan);
    const pieces = ["to_q", "to_k", "to_v"].map((part) => `encoder.down_blocks.3.0.attn.${part}.weight`);
    for (const round of [1, 2]) {
      for (const piece of pieces) await file.entries.get(piece)?.read();
      expect(reads).toBe(round);
    }
  });
});

test("a model that a format can't name is refused", () => {
  const custom = parseOfficialConfig({
    ...config,
    encoder: { ...config.encoder, block_type: "GLUResBlock@3" },
  });
  expect(() => planWeights(modelParameters({ kind: "dc-ae", config: custom }), "diffusers")).toThrow(
    /the diffusers format has no name for the parameter "encoder\.stages\.1\.op_list\.0\.main\.conv_gate\.conv\.weight"/,
  );
});
