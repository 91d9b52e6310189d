/**
 * `dcae scenes`: procedural pictures as files, one folder per class: a data set for whoever has none, with labels for
 * diffusion models and fixed pictures for evaluation.
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { DataError, saveImage } from "@dcae/core";
import { errorCode, fileError } from "@dcae/core/checkpoint";
import { drawScene, SCENE_CLASSES, type SceneClass } from "@dcae/train/scenes";
import { Command } from "commander";
import { type CliIo, plural } from "../cli-io.js";
import { makeFolder } from "../files/array-file.js";
import { outputKind } from "../files/paths.js";
import { parseCount, parseListOf, parseSeed, parseSize, type Size } from "../options/parse-values.js";
import { addExamples } from "./command-group.js";

interface SceneFlags {
  readonly out: string;
  readonly count: number;
  readonly classes?: readonly SceneClass[];
  readonly size?: Size;
  readonly seed?: bigint;
  readonly json?: boolean;
}

export function scenesCommand(io: CliIo): Command {
  const command = new Command("scenes")
    .summary("draw a data set of procedural pictures")
    .description(
      "Draws pictures with the procedural painters, one folder per class, as `train`, `latents` and `eval` read them. The same " +
        "seed gives the same pictures on every machine. Pictures that are there already are kept, so that an interrupted run " +
        "goes on where it stopped; those of another size are refused.",
    )
    .requiredOption("-o, --out <dir>", "folder of the data set")
    .option("--count <n>", "pictures per class", parseCount, 100)
    .option("--classes <list>", `of ${SCENE_CLASSES.join(", ")} (default: all)`, parseListOf<SceneClass>(SCENE_CLASSES))
    .option("--size <n|WxH>", "size of the pictures (default: 256)", parseSize)
    .option("--seed <n>", "seed of the first picture of each class; the others follow (default: 0)", parseSeed)
    .option("--json", "print the result as JSON");
  addExamples(command, [
    { does: "a data set to train on", command: "dcae scenes --count 200 --size 512 -o data/scenes" },
    {
      does: "other pictures of two classes",
      command: "dcae scenes --classes planet,forest --seed 1000000 -o data/test",
    },
  ]);
  return command.action((flags: SceneFlags) => drawScenes(flags, io));
}

async function drawScenes(
  { out, count, classes = SCENE_CLASSES, size = [256, 256], seed = 0n, json }: SceneFlags,
  io: CliIo,
): Promise<void> {
  const [height, width] = size;
  await outputKind(out, ["folder"]);
  const total = count * classes.length;
  // The name holds the seed, so that sets of other seeds can join the folder.
  const pathOf = (kind: SceneClass, i: number) =>
    join(out, kind, `${kind}-${String(seed + BigInt(i)).padStart(8, "0")}.png`);
  // All of them before anything is drawn: otherwise a refusal would leave two sizes in the folder.
  const kept = new Set<string>();
  for (const kind of classes) {
    for (let i = 0; i < count; i++) {
      io.signal.throwIfAborted();
      if (await isThere(pathOf(kind, i), size)) kept.add(pathOf(kind, i));
    }
  }
  let drawn = 0;
  for (const [label, kind] of classes.entries()) {
    await makeFolder(join(out, kind));
    for (let i = 0; i < count; i++) {
      io.signal.throwIfAborted();
      io.progress.show({ label: "draw", done: label * count + i, total, detail: kind });
      const path = pathOf(kind, i);
      if (kept.has(path)) continue;
      await saveImage(drawScene({ width, height, seed: seed + BigInt(i), kind }), path);
      drawn += 1;
    }
  }
  io.progress.clear();
  const summary = { out, classes, pictures: total, drawn, width, height, seed: String(seed) };
  const already = drawn === total ? "" : `, ${total - drawn} of them were there already`;
  if (json === true) return io.json(summary);
  const what = `${plural(total, "picture")} of ${plural(classes.length, "class", "classes")}`;
  io.out(`${out}: ${what}, ${width}x${height}${already}`);
}

/** Whether a picture is there already. @throws DataError when what is there isn't a PNG of this size */
async function isThere(path: string, [height, width]: Size): Promise<boolean> {
  const found = await readPngSize(path);
  if (found === undefined) return false;
  if (found.width === width && found.height === height) return true;
  throw new DataError(`${path}: is ${found.width}x${found.height}, not ${width}x${height}`, {
    hint: "Choose the --size of the pictures that are there, or another folder.",
  });
}

// The size that a PNG file states, from its first 24 bytes: a data set may have many files.

/** Signature, and the IHDR chunk's length and name. */
const START = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82);

/**
 * @returns undefined when there is no such file
 * @throws DataError when it can't be read or isn't a PNG file
 */
async function readPngSize(path: string): Promise<{ readonly width: number; readonly height: number } | undefined> {
  const header = Buffer.alloc(START.length + 8);
  try {
    const file = await open(path, "r");
    try {
      await file.read(header, 0, header.length, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw fileError(error, path, "read");
  }
  if (!START.every((byte, i) => header[i] === byte)) {
    throw new DataError(`${path}: isn't a PNG file`, { hint: "Remove it, or choose another folder." });
  }
  return { width: header.readUInt32BE(START.length), height: header.readUInt32BE(START.length + 4) };
}
