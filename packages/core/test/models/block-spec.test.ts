import { describe, expect, test } from "vitest";
import { parseBlockType } from "../../src/blocks/block-spec.js";
import { ConfigError } from "../../src/errors.js";
import { errorOf } from "../support/error-of.js";

describe("parseBlockType", () => {
  test.each([
    ["ResBlock", { type: "ResBlock" }],
    ["EViTGLU", { type: "EViTGLU", scales: [] }],
    ["EViT_GLU", { type: "EViTGLU", scales: [] }],
    ["EViTS5GLU", { type: "EViTGLU", scales: [5] }],
    ["EViTS5_GLU", { type: "EViTGLU", scales: [5] }],
    ["EViTS3S5GLU", { type: "EViTGLU", scales: [3, 5] }],
    ["EViTS11GLU", { type: "EViTGLU", scales: [11] }],
    ["EViTNormQKGLU", { type: "EViTNormQKGLU" }],
    ["GLUResBlock@3", { type: "GLUResBlock", gateKernel: 3 }],
    ["ChannelAttentionResBlock@SEModule", { type: "ChannelAttentionResBlock", attention: "SEModule", position: 2 }],
    [
      "ChannelAttentionResBlock@CoordAttnModule@1",
      { type: "ChannelAttentionResBlock", attention: "CoordAttnModule", position: 1 },
    ],
    ["GLUMBConv@4", { type: "GLUMBConv", expansion: 4 }],
    ["GLUMBConv@2.5", { type: "GLUMBConv", expansion: 2.5 }],
  ])("%s", (name, spec) => expect(parseBlockType(name)).toEqual(spec));

  test.each([
    "resblock",
    "EViTS4GLU",
    "EViTS0GLU",
    "ViTGLU",
    "GLUResBlock",
    "GLUResBlock@2",
    "GLUMBConv@0",
    "GLUMBConv@x",
    "",
  ])("%j is refused", (name) => {
    const error = errorOf(ConfigError, () => parseBlockType(name));
    expect(error.message).toBe(`unknown block type ${JSON.stringify(name)}`);
    expect(error.hint).toContain("EViTS5GLU");
  });
});
