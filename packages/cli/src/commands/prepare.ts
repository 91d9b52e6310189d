/**
 * `dcae prepare`: pictures shrunk for training. A photograph of many megapixels takes longer to decode than to train on, at every
 * epoch; its copy of a few hundred pixels is decoded in milliseconds.
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { DataError, saveImage } from "@dcae/core";
import { decodeImage, type Image, PILLOW_DECODE, readImageSize, resizeImage } from "@dcae/core/image";
import { unlessAborted } from "@dcae/core/internal";
import { Command, Option } from "commander";
import { type CliIo, plural } from "../cli-io.js";
import { makeFolder } from "../files/array-file.js";
import { outputKind } from "../files/paths.js";
import { type Item, openItems } from "../items/items.js";
import { createFailures, resultPaths } from "../items/process-items.js";
import { parseCount } from "../options/parse-values.js";
import { addExamples } from "./command-group.js";

const ENDINGS = { jpeg: ".jpg", webp: ".webp", png: ".png" } as const;

interface PrepareFlags {
  readonly out: string;
  readonly side: number;
  readonly format: keyof typeof ENDINGS;
  readonly skipErrors?: boolean;
  readonly json?: boolean;
}

export function prepareCommand(io: CliIo): Command {
  const command = new Command("prepare")
    .summary("pictures shrunk for training")
    .description(
      "Writes copies of pictures whose shorter side is at most --side, in the same subfolders, so that a training that sees them " +
        "again and again decodes small files instead of large ones. They are decoded as training does, and resized as by Pillow's " +
        "bicubic filter. Copies that are there already are kept, so that an interrupted run goes on where it stopped. Squares of a training " +
        "are then cut from the copies: choose a --side above the largest that it trains at.",
    )
    .argument("<pictures...>", "picture files, patterns such as photos/*.jpg, and folders with their subfolders")
    .requiredOption("-o, --out <dir>", "folder of the copies")
    .option("--side <n>", "shorter side of the copies in pixels; smaller pictures keep their size", parseCount, 512)
    .addOption(
      new Option("--format <format>", "jpeg (quality 95, full color resolution), webp (quality 95) or png (lossless)")
        .choices(Object.keys(ENDINGS))
        .default("jpeg"),
    )
    .option("--skip-errors", "exit status 0 also when some pictures can't be read")
    .option("--json", "print the result as JSON");
  addExamples(command, [
    { does: "photographs to train on at up to 256 pixels", command: "dcae prepare photos/ --side 512 -o data/photos" },
    { does: "without loss", command: "dcae prepare photos/ --side 640 --format png -o data/photos" },
  ]);
  return command.action((pictures: string[], flags: PrepareFlags) => prepare(pictures, flags, io));
}

/** Pictures at one time: while one is resized here, others are decoded and written in the threads of libvips. */
const AT_ONCE = 3;

async function prepare(inputs: readonly string[], flags: PrepareFlags, io: CliIo): Promise<void> {
  const { out, side, format } = flags;
  await outputKind(out, ["folder"]);
  const { items, close } = await openItems(
    inputs,
    { folders: "pictures", accepts: ["pictures"], what: "pictures", out },
    io,
  );
  try {
    const paths = await resultPaths(items, out, [ENDINGS[format]]);
    const failures = createFailures(io, "picture", flags.skipErrors ?? false);
    let [written, kept, next] = [0, 0, 0];
    const work = async () => {
      for (let item = items[next++]; item !== undefined; item = items[next++]) {
        io.signal.throwIfAborted();
        io.progress.show({ label: "prepare", done: written + kept + failures.list.length, total: items.length });
        const [path] = paths.get(item) as readonly [string];
        if (existsSync(path)) {
          await checkCopy(item, path, side);
          kept += 1;
        } else if (await writeCopy(item, path, side).catch(onlyData(item, failures.add))) written += 1;
      }
    };
    await unlessAborted(Promise.all(Array.from({ length: AT_ONCE }, work)), io.signal);
    io.progress.clear();
    const already = kept === 0 ? "" : `, ${kept} of them were there already`;
    if (flags.json === true) io.json({ out, pictures: written + kept, written, side, format, failed: failures.list });
    else io.out(`${out}: ${plural(written + kept, "picture")}, shorter side at most ${side} pixels${already}`);
    failures.finish(items.length);
  } finally {
    await close();
  }
}

/** @throws DataError when what is there isn't a copy of this side */
async function checkCopy(item: Item, path: string, side: number): Promise<void> {
  const shorter = async (file: string) => {
    const { width, height } = await readImageSize(file);
    return Math.min(width, height);
  };
  const [found, expected] = [await shorter(path), Math.min(await shorter(item.path), side)];
  if (found === expected) return;
  throw new DataError(`${path}: its shorter side has ${found} pixels, a copy would have ${expected}`, {
    hint: "Choose the --side of the copies that are there, or another folder.",
  });
}

/** @returns true */
async function writeCopy(item: Item, path: string, side: number): Promise<boolean> {
  const copy = shrink(await decodeImage(item.path, PILLOW_DECODE), side);
  await makeFolder(dirname(path));
  await saveImage(copy, path);
  return true;
}

function shrink(image: Image, side: number): Image {
  const scale = side / Math.min(image.width, image.height);
  if (scale >= 1) return image;
  return resizeImage(image, Math.round(image.width * scale), Math.round(image.height * scale));
}

/** A picture that can't be read concerns that picture alone. */
function onlyData(item: Item, add: (item: Item, error: DataError) => void) {
  return (error: unknown): boolean => {
    if (!(error instanceof DataError)) throw error;
    add(item, error);
    return false;
  };
}
