/** `dcae bench autoencoder`: encode and decode, models x sizes x batches x devices x dtypes x threads. */
import { imageToTensor } from "@dcae/core";
import { BUNDLED_MODEL } from "@dcae/core/internal";
import { COMPUTE_DTYPES, type ComputeDType } from "@dcae/core/runtime";
import { type BenchOptions, benchAutoencoder, formatBench, writeResult } from "@dcae/eval";
import { type BenchPart, stringifyResult } from "@dcae/eval/internal";
import { calibrationScenes, drawScene } from "@dcae/train/scenes";
import { Command } from "commander";
import type { CliIo } from "../../cli-io.js";
import { prepareOutFile } from "../../files/paths.js";
import { NODE_DEVICES } from "../../options/engine-options.js";
import { parseCount, parseCounts, parseListOf } from "../../options/parse-values.js";
import { addExamples } from "../command-group.js";

interface BenchAutoencoderFlags {
  readonly size?: number[];
  readonly batchSize?: number[];
  readonly device?: (typeof NODE_DEVICES)[number][];
  readonly dtype?: ComputeDType[];
  readonly threads?: number[];
  readonly parts?: BenchPart[];
  readonly optimize?: (keyof typeof GRAPHS)[];
  readonly warmup?: number;
  readonly iterations?: number;
  readonly inProcess?: boolean;
  readonly workFolder?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** What `--optimize` takes. */
const GRAPHS = { off: false, on: true, auto: "auto" } as const;
const GRAPH_NAMES = ["off", "on", "auto"] as const satisfies readonly (keyof typeof GRAPHS)[];

/** DC-AE at its mildest compression, and what it is compared with. */
const DEFAULT_MODELS = ["dc-ae-f32c32-in-1.0", "sd-vae-ft-ema"];

/** What int8 is measured on: scenes of other seeds and classes than those that ranges are observed on. */
function testScenes() {
  return (["dunes", "forest", "pebbles", "still-life"] as const).map((kind, i) =>
    imageToTensor(drawScene({ width: 256, height: 256, seed: 1000 + i, kind })),
  );
}

export function benchAutoencoderCommand(io: CliIo): Command {
  const command = new Command("autoencoder")
    .summary("encode and decode of autoencoders")
    .description(
      "Measures encode and decode, each combination of the lists below in a process of its own. The name of a published " +
        `model means its architecture with random weights, which are as fast as trained ones; "${BUNDLED_MODEL}" is trained.`,
    )
    .argument(
      "[models...]",
      `names of published models, or checkpoints on disk (default: ${DEFAULT_MODELS.join(", ")})`,
    )
    .option("--size <list>", "sides of the square pictures in pixels (default: 256)", parseCounts)
    .option("--batch-size <list>", "pictures per run (default: 1)", parseCounts)
    .option("--device <list>", `of ${NODE_DEVICES.join(", ")} (default: cpu)`, parseListOf(NODE_DEVICES))
    .option(
      "--dtype <list>",
      `of ${COMPUTE_DTYPES.join(", ")}: what is computed in (default: float32); int8 also tells what it costs in PSNR`,
      parseListOf(COMPUTE_DTYPES),
    )
    .option("--threads <list>", "CPU threads (default: all cores)", parseCounts)
    .option("--parts <list>", "encode, decode or both (default: encode,decode)", parseListOf(["encode", "decode"]))
    .option(
      "--optimize <list>",
      "graphs as they are (off), rewritten for speed (on), or what pays on this machine (auto), as other commands do; beside off the " +
        "ratio to it is given (default: auto)",
      parseListOf(GRAPH_NAMES),
    )
    .option("--warmup <n>", "runs that don't count (default: 3, with another device than cpu 20)", parseCount)
    .option("--iterations <n>", "timed runs (default: 10, with another device than cpu 100)", parseCount)
    .option("--in-process", "measure everything in this process: peak memory is then that of all cases so far")
    .option("--work-folder <dir>", "keep random weights here for the next time (default: a temporary folder)")
    .option("-o, --out <file>", "also write the result as JSON to this file")
    .option("--json", "print the result as JSON");
  addExamples(command, [
    { does: "what is the default, on this machine", command: "dcae bench autoencoder" },
    {
      does: "what rewriting the graph for speed brings",
      command: "dcae bench autoencoder dc-ae-f32c32-in-1.0 --size 256,512 --optimize off,on -o bench.json",
    },
    {
      does: "what 8 bits bring, and what they cost a trained model",
      command: "dcae bench autoencoder small-f32 --dtype float32,int8 --optimize off,on",
    },
    {
      does: "how speed grows with threads and batches",
      command: "dcae bench autoencoder ./dc-ae-f64c128 --size 512 --threads 1,2,4,8 --batch-size 1,4 --parts decode",
    },
  ]);
  return command.action((models: string[], flags: BenchAutoencoderFlags) => bench(models, flags, io));
}

async function bench(models: readonly string[], flags: BenchAutoencoderFlags, io: CliIo): Promise<void> {
  const { size, batchSize, device, dtype, threads, parts, optimize, warmup, iterations, inProcess, workFolder } = flags;
  const out = flags.out === undefined ? undefined : await prepareOutFile(flags.out, ".json");
  const lists = {
    ...(size && { sizes: size }),
    ...(batchSize && { batches: batchSize }),
    ...(device && { devices: device }),
    ...(dtype && { dtypes: dtype }),
    ...(threads && { threads }),
    ...(parts && { parts }),
    ...(dtype?.includes("int8") && {
      int8Pictures: { calibration: calibrationScenes(), test: testScenes(), source: "drawn scenes" },
    }),
    ...(optimize && { optimize: optimize.map((value) => GRAPHS[value]) }),
  } satisfies Partial<BenchOptions>;
  const result = await benchAutoencoder({
    models: models.length === 0 ? DEFAULT_MODELS : models,
    ...lists,
    warmup,
    iterations,
    isolate: inProcess !== true,
    workFolder,
    signal: io.signal,
    onProgress: ({ label, done, total }) => io.progress.show({ label: "bench", done, total, detail: label }),
  });
  io.progress.clear();
  if (out !== undefined) await writeResult(out, result);
  io.out(flags.json === true ? stringifyResult(result) : formatBench(result));
}
