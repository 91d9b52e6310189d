/**
 * `dcae demo`: the whole way with nothing but this program. It draws a picture, makes a small model in both published
 * formats, loads both back, reconstructs the picture with each, and checks that they agree.
 */
import { join } from "node:path";
import {
  drawScene,
  EngineError,
  imageToTensor,
  loadAutoencoder,
  psnr,
  SCENE_CLASSES,
  type SceneClass,
  saveImage,
  sideBySide,
  type Tensor,
  tensorToImage,
} from "@dcae/core";
import type { CheckpointFormat } from "@dcae/core/models";
import { Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { createCodec } from "../codec.js";
import { demoModel } from "../demo-model.js";
import { outputKind } from "../files/output-target.js";
import { makeFolder } from "../files/write-array-file.js";
import { formatCount, formatPsnr } from "../format-number.js";
import { compressionOf } from "../model-summary.js";
import { withLoaded } from "../options/engine-options.js";
import { addExamples } from "../options/examples.js";
import { parseSeed, parseSize, type Size } from "../options/parse-values.js";
import { CHECKPOINT_FORMATS } from "../options/save-options.js";
import { UsageError } from "../usage-error.js";
import { initCheckpoint } from "./init.js";

interface DemoFlags {
  readonly out: string;
  readonly seed: bigint;
  readonly size: Size;
  readonly scene: SceneClass;
}

export function demoCommand(io: CliIo): Command {
  const command = new Command("demo")
    .summary("the whole way, on a picture and a model that it makes itself")
    .description(
      "Draws a picture, makes a small model with random weights in both published formats, loads both, reconstructs the\n" +
        "picture with each, and checks that the results are the same. Needs no network and no files.",
    )
    .requiredOption("-o, --out <dir>", "folder for pictures and models; those of an earlier demo are replaced")
    .addOption(new Option("--scene <class>", "what to draw").choices([...SCENE_CLASSES]).default("page"))
    .option("--size <n|WxH>", "size of the picture (default: 512)", parseSize)
    .option("--seed <n>", "seed of picture and weights (default: 0)", parseSeed);
  addExamples(command, [{ does: "look at the pictures that it names", command: "dcae demo -o demo-output" }]);
  return command.action((flags: Partial<DemoFlags> & Pick<DemoFlags, "out" | "scene">) =>
    demo({ ...flags, seed: flags.seed ?? 0n, size: flags.size ?? [512, 512] }, io),
  );
}

async function demo({ out, seed, size, scene }: DemoFlags, io: CliIo): Promise<void> {
  const model = demoModel();
  const [height, width] = size;
  const multiple = compressionOf(model);
  if (height % multiple !== 0 || width % multiple !== 0) {
    throw new UsageError(`--size ${width}x${height}: sides must be multiples of ${multiple}, the model's compression`);
  }
  await outputKind(out, ["folder"]);
  await makeFolder(out);
  const place = (name: string) => join(out, name);

  const original = drawScene({ width, height, seed, kind: scene });
  await saveImage(original, place("original.png"));
  io.out(`Drew a picture, ${width}x${height}: ${place("original.png")}`);

  for (const format of CHECKPOINT_FORMATS) {
    const folder = place(`model-${format}`);
    const parameters = await initCheckpoint(model, seed, folder, { format, overwrite: true }, io);
    io.out(`Made a model with ${formatCount(parameters)} random parameters in the ${format} format: ${folder}`);
  }

  const x = imageToTensor(original);
  const runs = new Map<CheckpointFormat, RoundTrip>();
  for (const format of CHECKPOINT_FORMATS) {
    const run = await roundTrip(place(`model-${format}`), x, io);
    runs.set(format, run);
    io.out(
      `Loaded it from the ${format} format: [${x.shape.join(", ")}] to a latent [${run.latent.shape.join(", ")}] and back`,
    );
  }
  const [first, second] = CHECKPOINT_FORMATS.map((format) => runs.get(format)) as [RoundTrip, RoundTrip];
  checkEqual("latents", first.latent, second.latent);
  checkEqual("reconstructions", first.picture, second.picture);
  io.out("Both formats give the same latent and the same picture, bit for bit.");

  const reconstruction = tensorToImage(first.picture);
  await saveImage(reconstruction, place("reconstruction.png"));
  await saveImage(sideBySide([original, reconstruction]), place("side-by-side.png"));
  io.out(
    `\nPictures:\n  original        ${place("original.png")}\n` +
      `  reconstruction  ${place("reconstruction.png")} (PSNR ${formatPsnr(psnr(original, reconstruction))})\n` +
      `  both            ${place("side-by-side.png")}\n\n` +
      "The weights are random, so the reconstruction is not meant to look like the original: a model has to be trained\n" +
      "first, which dcae can't do yet. What is visible of the original came through the shortcuts around the blocks,\n" +
      "which carry pixels past the weights.",
  );
}

interface RoundTrip {
  readonly latent: Tensor;
  readonly picture: Tensor;
}

function roundTrip(folder: string, x: Tensor, io: CliIo): Promise<RoundTrip> {
  return withLoaded(
    () => loadAutoencoder(folder, { device: "cpu" }),
    io,
    async (model) => {
      const codec = createCodec(model, {}, io.signal);
      const latent = await codec.encode(x, ["picture"]);
      return { latent, picture: await codec.decode(latent) };
    },
  );
}

function checkEqual(what: string, a: Tensor, b: Tensor): void {
  const [left, right] = [a.toFloat32(), b.toFloat32()];
  const differs = left.length !== right.length || left.some((value, i) => value !== right[i]);
  if (differs) throw new EngineError(`the two formats of the demo's model give different ${what}`);
}
