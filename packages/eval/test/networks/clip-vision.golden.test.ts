import { createImage, type Tensor } from "@dcae/core";
import { createProgram, createScope } from "@dcae/core/graph";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { runProgram } from "@dcae/test-support/run-graph";
import { describe, expect, it } from "vitest";
import { CLIP_VIT_L14_336, clipInput, clipProgram, clipVision } from "../../src/networks/clip-vision.js";
import { pictureInput, picturesToTensor } from "../../src/networks/pictures.js";
import { goldenJson, goldenNames, loadGolden } from "../support/golden.js";

const engine = useEngine();

describe("the CLIP image tower", () => {
  it.each(goldenNames("clip_vision"))("equals the reference at tiny width (%s)", async (name) => {
    const golden = await loadGolden(name);
    const { arch } = golden.config;
    const config = {
      hiddenSize: arch.hidden_size,
      intermediateSize: arch.intermediate_size,
      projectionDim: arch.projection_dim,
      layers: arch.num_hidden_layers,
      heads: arch.num_attention_heads,
      imageSize: arch.image_size,
      patchSize: arch.patch_size,
    };
    const planar = golden.tensor("in.image");
    const [count, , height, width] = planar.shape as [number, number, number, number];
    const images = Array.from({ length: count }, (_, n) =>
      createImage(width, height, planar.row(n).transpose([1, 2, 0]).data as Uint8Array),
    );
    const { resized, x } = clipInput(pictureInput("pictures", count, height, width), config);
    const { hidden, projected, embedding } = clipVision(createScope(), x, config);
    const program = createProgram("clip", { resized, hidden, projected, embedding });
    const results = await runProgram(engine, program, { pictures: picturesToTensor(images) }, golden.weights);
    const values = (key: string) => (results[key] as Tensor).toFloat32();
    expectGolden(golden, "out.resized", values("resized"));
    expectGolden(golden, "out.hidden_last", values("hidden"));
    expectGolden(golden, "out.image_embeds", values("projected"));
    expectGolden(golden, "out.embedding", values("embedding"));
  });

  it("asks for the tensors of the published file", () => {
    const program = clipProgram(1, 256, 256, CLIP_VIT_L14_336);
    const asked = [...program.parameters.values()].map(({ name, shape }) => `${name} ${shape}`).sort();
    const { tensors } = goldenJson("manifest_clip_vit_l14_336_vision");
    expect(asked).toEqual(
      tensors.map((entry: { name: string; shape: number[] }) => `${entry.name} ${entry.shape}`).sort(),
    );
  });
});
