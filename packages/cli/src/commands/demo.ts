/**
 * `dcae demo`: the main job with nothing but this program. It draws pictures that no training has seen, encodes and decodes
 * them with the model that comes along, and shows what was kept. Then it samples new pictures of the same classes with the
 * diffusion model that comes along.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import {
  bundledModelPath,
  type Image,
  imageToTensor,
  loadAutoencoder,
  psnr,
  saveImage,
  tensorToImage,
} from "@dcae/core";
import { makeGrid } from "@dcae/core/image";
import { BUNDLED_MODEL, unlessAborted } from "@dcae/core/internal";
import { ClassConditionalPipeline } from "@dcae/diffusion";
import { drawScene, SCENE_CLASSES, type SceneClass } from "@dcae/train/scenes";
import { Command, Option } from "commander";
import { type CliIo, formatBytes, formatPsnr } from "../cli-io.js";
import { createCodec } from "../codec.js";
import { UsageError } from "../errors.js";
import { makeFolder } from "../files/array-file.js";
import { outputKind } from "../files/paths.js";
import { withLoaded } from "../options/engine-options.js";
import { parseSeed, parseSize, type Size } from "../options/parse-values.js";
import { addExamples } from "./command-group.js";

interface DemoFlags {
  readonly out: string;
  readonly seed: bigint;
  readonly size: Size;
  readonly scene?: SceneClass;
}

/** Seeds of the trained pictures are small numbers; the demo's lie far from them. */
const FIRST_SEED = 1n << 40n;
/** Pictures per row of the sheet. */
const COLUMNS = 6;
/** What samples, how many pictures of each class, and how. */
const DENOISER = "usit-scenes-256";
const [SAMPLES, GUIDANCE, STEPS] = [4, 2, 15];

export function demoCommand(io: CliIo): Command {
  const command = new Command("demo")
    .summary("pictures to latents and back, and new pictures, with the models that come along")
    .description(
      "Draws a picture of every class, encodes and decodes them with the small model that comes with dcae, and writes the " +
        "originals above their reconstructions; then samples new pictures with the small diffusion model. Needs no network " +
        "and no files.",
    )
    .requiredOption("-o, --out <dir>", "folder for the pictures; those of an earlier demo are replaced")
    .addOption(new Option("--scene <class>", "draw only this class").choices([...SCENE_CLASSES]))
    .option("--size <n|WxH>", "size of each picture (default: 256)", parseSize)
    .option("--seed <n>", "another picture of each class (default: 0)", parseSeed);
  addExamples(command, [
    { does: "look at the pictures that it names", command: "dcae demo -o demo-output" },
    { does: "one large picture", command: "dcae demo --scene mountains --size 1024x768 -o demo-output" },
  ]);
  return command.action((flags: Partial<DemoFlags> & Pick<DemoFlags, "out">) =>
    demo({ ...flags, seed: flags.seed ?? 0n, size: flags.size ?? [256, 256] }, io),
  );
}

async function demo({ out, seed, size, scene }: DemoFlags, io: CliIo): Promise<void> {
  await outputKind(out, ["folder"]);
  const classes = scene === undefined ? SCENE_CLASSES : [scene];
  const weights = await stat(join(bundledModelPath(), "model.safetensors"));
  await withLoaded(
    () => loadAutoencoder(BUNDLED_MODEL, { device: "cpu" }),
    io,
    async (model) => {
      const multiple = model.compression;
      const [height, width] = size;
      if (height % multiple !== 0 || width % multiple !== 0) {
        throw new UsageError(
          `--size ${width}x${height}: sides must be multiples of ${multiple}, the model's compression`,
        );
      }
      await makeFolder(out);
      io.out(`Model ${BUNDLED_MODEL}: comes with dcae, ${formatBytes(weights.size)} in float16`);
      const codec = createCodec(model, {}, io.signal);
      const originals: Image[] = [];
      const reconstructions: Image[] = [];
      for (const [i, kind] of classes.entries()) {
        io.progress.show({ label: "reconstruct", done: i, total: classes.length, detail: kind });
        const original = drawScene({ width, height, seed: FIRST_SEED + seed, kind });
        const latent = await codec.encode(imageToTensor(original), [kind]);
        const reconstruction = tensorToImage(await codec.decode(latent));
        if (i === 0) {
          const [, ...latentShape] = latent.shape;
          const numbers = latentShape.reduce((product, side) => product * side, 1);
          io.out(
            `Each picture, ${width}x${height}: ${width * height * 3} numbers to a latent [${latentShape.join(", ")}]: ` +
              `${numbers} numbers, and back`,
          );
        }
        io.out(`  ${kind.padEnd(12)} PSNR ${formatPsnr(psnr(original, reconstruction))}`);
        originals.push(original);
        reconstructions.push(reconstruction);
      }
      const sheet = join(out, "reconstructions.png");
      await saveImage(
        makeGrid(pairRows(originals, reconstructions), { columns: Math.min(COLUMNS, classes.length) }),
        sheet,
      );
      io.out(`\nLook at ${sheet}: originals in the odd rows, their reconstructions below them.`);
    },
  );
  await sampleScenes(join(out, "samples.png"), classes, seed, io);
}

/** A row of new pictures per class. */
async function sampleScenes(sheet: string, classes: readonly SceneClass[], seed: bigint, io: CliIo): Promise<void> {
  const pipeline = await ClassConditionalPipeline.fromPretrained(DENOISER, { device: "cpu" });
  try {
    const names = pipeline.description.classes ?? [];
    const labels = classes.flatMap((kind) => Array.from({ length: SAMPLES }, () => names.indexOf(kind)));
    const sampling = pipeline.generate({
      labels,
      guidance: GUIDANCE,
      steps: STEPS,
      seed,
      batchSize: labels.length,
      signal: io.signal,
      onStep: ({ step, total }) => io.progress.show({ label: "sample", done: step, total }),
    });
    const { images } = await unlessAborted(sampling, io.signal);
    await saveImage(makeGrid(images, { columns: SAMPLES }), sheet);
    const what = classes.length === 1 ? "one class" : `${classes.length} classes; a row per class`;
    io.out(`Look at ${sheet}: new pictures, sampled by ${DENOISER} in ${STEPS} steps, of ${what}.`);
  } finally {
    await pipeline.dispose();
  }
}

/** Rows of originals, each followed by the row of their reconstructions. */
function pairRows(originals: readonly Image[], reconstructions: readonly Image[]): Image[] {
  const rows: Image[] = [];
  for (let i = 0; i < originals.length; i += COLUMNS) {
    rows.push(...originals.slice(i, i + COLUMNS), ...reconstructions.slice(i, i + COLUMNS));
  }
  return rows;
}
