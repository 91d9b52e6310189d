/** `--shard`, of every job that many processes can share, and what is said about shards. */
import { clusterShard, formatPart, type JobPart } from "@dcae/core/internal";
import { InvalidArgumentError, Option } from "commander";
import { type CliIo, plural } from "../cli-io.js";
import { errorLine } from "../errors.js";

export interface ShardFlag extends JobPart {
  /** Whether the engine said it: then all processes have one command line. */
  readonly isAuto: boolean;
}

/** "1/4" is the first of four; "auto" is what the engine says that started this process. */
export function parseShard(text: string): ShardFlag {
  if (text === "auto") {
    try {
      const { index, count } = clusterShard(process.env);
      return { index, count, isAuto: true };
    } catch (error) {
      throw new InvalidArgumentError(errorLine(error));
    }
  }
  const [, number, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? [];
  const part = { index: Number(number) - 1, count: Number(count), isAuto: false };
  if (part.index >= 0 && part.index < part.count) return part;
  throw new InvalidArgumentError("Give i/n with i from 1 to n (1/4 is the first of four), or auto.");
}

export function shardOption(): Option {
  return new Option(
    "--shard <i/n|auto>",
    "only part i of n, from 1/n to n/n; auto: as the array of Slurm, Kubernetes or AWS Batch, or the MPI launcher, says",
  ).argParser(parseShard);
}

/** Numbers that a line names; more are counted. */
const MAX_NAMED = 20;

/** "1, 2, 5", with the number of those beyond. */
export function nameSome(names: readonly (string | number)[]): string {
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : "";
  return `${names.slice(0, MAX_NAMED).join(", ")}${more}`;
}

/** Said once, when another process works on the same shard. */
export function noteWaiting(shard: JobPart | undefined, owner: string, io: Pick<CliIo, "note">): void {
  const which = shard === undefined ? "the result" : `shard ${formatPart(shard)}`;
  io.note(`dcae: ${owner} works on ${which}: waiting for it`);
}

interface ShardReport {
  readonly out: string;
  readonly shard: JobPart;
  readonly json?: boolean | undefined;
}

/** What of a job isn't there yet: how many of its parts, and of which shards, from 0. */
export interface MissingParts {
  readonly missing: number;
  readonly total: number;
  readonly parts: readonly number[];
}

/** A shard that is done while others aren't. */
export function reportShard(
  { out, shard, json }: ShardReport,
  { missing, total, parts }: MissingParts,
  io: CliIo,
): void {
  io.progress.clear();
  const lacking = parts.map((index) => formatPart({ index, count: shard.count }));
  if (json === true) {
    io.json({ out, shard: formatPart(shard), parts: total, missingParts: missing, missingShards: lacking });
    return;
  }
  io.out(
    `${out}: shard ${formatPart(shard)} is done; ${total - missing} of ${plural(total, "part")} are there, and shard ` +
      `${nameSome(lacking)} is to come: the last one makes the result`,
  );
}
