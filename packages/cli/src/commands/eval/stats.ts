/** `dcae eval stats`: reference statistics of a set of pictures, or of a shard of it; `dcae eval merge`: of the whole from those of its shards. */
import { realpath } from "node:fs/promises";
import { DataError } from "@dcae/core";
import { formatTable, holdLock } from "@dcae/core/internal";
import {
  type ComputedStatistics,
  computeStatistics,
  describeProtocol,
  mergeStatistics,
  type PictureSource,
  type Protocol,
  readStatistics,
  type Shard,
} from "@dcae/eval";
import { removeWorkFolder } from "@dcae/eval/internal";
import { Command } from "commander";
import { type CliIo, plural } from "../../cli-io.js";
import { UsageError } from "../../errors.js";
import {
  addNetworkOptions,
  addProtocolOptions,
  type NetworkFlags,
  networkOptions,
  type ProtocolFlags,
  type ProtocolNameFlag,
  protocolOf,
  protocolOption,
} from "../../evaluation/evaluation-options.js";
import { resumable, showProgress } from "../../evaluation/evaluation-run.js";
import { openPictures } from "../../evaluation/pictures.js";
import { prepareOutFile } from "../../files/paths.js";
import { skipErrorsOption } from "../../options/codec-options.js";
import { addFloat32Options, type DeviceFlags, withEngine } from "../../options/engine-options.js";
import { parseCount } from "../../options/parse-values.js";
import { noteWaiting, type ShardFlag, shardOption } from "../../options/shard-options.js";
import { addExamples } from "../command-group.js";

interface EvalStatsFlags extends ProtocolFlags, ProtocolNameFlag, NetworkFlags, DeviceFlags {
  readonly out: string;
  readonly shard?: ShardFlag;
  readonly restart?: boolean;
  readonly batchSize?: number;
  readonly skipErrors?: boolean;
  readonly json?: boolean;
}

export function evalStatsCommand(io: CliIo): Command {
  const command = new Command("stats")
    .summary("reference statistics of a set of pictures, whole or in shards")
    .description(
      "Computes mean and covariance of the FID features of all pictures and writes them as .npz, which other tools read too. " +
        "Several processes can each do a shard; `dcae eval merge` joins them to exactly the statistics of the whole. A run " +
        "that was stopped or killed goes on when it is started again.",
    )
    .argument("<dir>", "folder of pictures (with its subfolders), or .npz archive in ADM's layout")
    .requiredOption("-o, --out <file>", "the .npz file; with --shard, %i and %n in its name are the shard's i and n")
    .addOption(shardOption());
  addProtocolOptions(command)
    .addOption(protocolOption())
    .option("--batch-size <n>", "pictures that go through the network together", parseCount)
    .option("--restart", "start anew instead of going on with what a stopped run has finished")
    .addOption(skipErrorsOption());
  addFloat32Options(addNetworkOptions(command)).option("--json", "print the result as JSON");
  addExamples(command, [
    { does: "a whole set", command: "dcae eval stats imagenet/train --size 512 --out imagenet-512.npz" },
    {
      does: "the second of eight processes",
      command: "dcae eval stats imagenet/train --size 512 --shard 2/8 -o 2.npz",
    },
    {
      does: "one task of an array, each with the same command line",
      command: "dcae eval stats imagenet/train --size 512 --shard auto -o part-%i-of-%n.npz",
    },
  ]);
  return command.action((path: string, flags: EvalStatsFlags) => computeStats(path, flags, io));
}

async function computeStats(path: string, flags: EvalStatsFlags, io: CliIo): Promise<void> {
  const { limit, batchSize, restart } = flags;
  const shard = flags.shard && { index: flags.shard.index, of: flags.shard.count };
  const out = await prepareOutFile(outOf(flags.out, flags.shard), ".npz");
  const protocol = protocolOf(flags, { preset: flags.protocol });
  const source = await openPictures(path, protocol, { option: "pictures", limit, shard }, io);
  const parts = `${out}.parts`;
  const compute = async (): Promise<ComputedStatistics> => {
    if (restart === true) await removeWorkFolder(parts);
    else if (shard !== undefined) {
      const known = await knownShard(out, source, shard, protocol);
      if (known !== undefined) return known;
    }
    return resumable(io, parts, () =>
      withEngine(flags, io, (engine) =>
        computeStatistics({
          source,
          shard,
          protocol,
          engine,
          weights: networkOptions(flags),
          batchSize,
          out,
          workFolder: parts,
          signal: io.signal,
          onProgress: showProgress(io),
        }),
      ),
    );
  };
  const onWait = (owner: string) => noteWaiting(flags.shard, owner, io);
  const result =
    shard === undefined ? await compute() : await holdLock(`${out}.lock`, { signal: io.signal, onWait }, compute);
  io.progress.clear();
  const facts = { ...result, shard: shard && `${shard.index + 1}/${shard.of}`, protocol };
  if (flags.json === true) io.json(facts);
  else io.out(format(result, shard, protocol));
  const { unusable } = result;
  if (unusable.length > 0 && flags.skipErrors !== true) {
    throw new DataError(`${plural(unusable.length, "picture")} could not be used`, {
      hint: "See above. --skip-errors accepts that.",
    });
  }
}

/** Where the shard's number goes in --out. @throws UsageError where all tasks of an array would write one file */
function outOf(out: string, shard: ShardFlag | undefined): string {
  if (shard === undefined) return out;
  if (shard.isAuto && !out.includes("%i")) {
    throw new UsageError(`--out ${out}: with --shard auto all processes would write this file`, {
      hint: "Put %i where the number of the shard goes (and %n for how many there are), as in part-%i-of-%n.npz.",
    });
  }
  return out.replaceAll("%i", String(shard.index + 1)).replaceAll("%n", String(shard.count));
}

/** The shard's file that an earlier process wrote: a task that an engine starts again has nothing left to do. */
async function knownShard(
  out: string,
  source: PictureSource,
  shard: Shard,
  protocol: Protocol,
): Promise<ComputedStatistics | undefined> {
  const file = await readStatistics(out).catch(() => undefined);
  const { info, statistics } = file ?? {};
  const isSame =
    JSON.stringify(info?.shards) === JSON.stringify([shard]) &&
    JSON.stringify(info?.protocol) === JSON.stringify(protocol) &&
    info?.set === source.setFingerprint;
  if (info === undefined || statistics?.count === undefined || !isSame) return undefined;
  return { out, count: statistics.count, sizes: info.sizes, unusable: [], warnings: info.warnings, networks: [] };
}

function format({ out, count, unusable, warnings }: ComputedStatistics, shard: Shard | undefined, protocol: Protocol) {
  const part = shard === undefined ? "" : `, shard ${shard.index + 1} of ${shard.of}`;
  return [
    `${out}: ${count === 1 ? "sums" : "mean and covariance"} of ${plural(count, "picture")}${part}`,
    ...formatTable(describeProtocol(protocol, "statistics")),
    ...unusable.map(({ name, problem }) => `left out: ${name}: ${problem}`),
    ...warnings.map((text) => `warning: ${text}`),
  ].join("\n");
}

// `dcae eval merge`

interface EvalMergeFlags {
  readonly out: string;
  readonly json?: boolean;
}

export function evalMergeCommand(io: CliIo): Command {
  const command = new Command("merge")
    .summary("statistics of shards to those of the whole")
    .description(
      "Joins files of `dcae eval stats --shard`. The result equals the statistics of all pictures in one run, to the last bit " +
        "of the sums. Files of different protocols, networks or sets are refused, and so is a shard that is there twice.",
    )
    .argument("<files...>", "the .npz files of the shards")
    .option("-o, --out <file>", "the .npz file to write", "merged.npz")
    .option("--json", "print the result as JSON");
  addExamples(command, [
    { does: "four shards", command: "dcae eval merge 1.npz 2.npz 3.npz 4.npz -o imagenet-512.npz" },
  ]);
  return command.action((files: string[], flags: EvalMergeFlags) => merge(files, flags, io));
}

async function merge(files: readonly string[], flags: EvalMergeFlags, io: CliIo): Promise<void> {
  const out = await prepareOutFile(flags.out, ".npz");
  await refuseInput(out, files);
  io.progress.show({ label: "merge", done: 0, total: files.length });
  const { count, shards, warnings } = await mergeStatistics(files, out);
  io.progress.clear();
  const parts = shards.map(({ index, of }) => `${index + 1}/${of}`);
  if (flags.json === true) return io.json({ out, count, shards: parts, warnings });
  io.out(`${out}: mean and covariance of ${plural(count, "picture")}, shards ${parts.join(", ")}`);
  for (const text of warnings) io.out(`warning: ${text}`);
}

async function refuseInput(out: string, files: readonly string[]): Promise<void> {
  const real = (path: string) => realpath(path).catch(() => path);
  const target = await real(out);
  for (const file of files) {
    if ((await real(file)) === target) throw new UsageError(`--out ${out}: is one of the files to merge`);
  }
}
