/** `--parallel`: a command as one rank of several, started by mpirun or srun. Only the first rank speaks. */
import { availableParallelism, cpus } from "node:os";
import { type Communicator, isFirst, openMpi, RankError, requireSame } from "@dcae/core/internal";
import { Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { errorLine, Interrupted, SaidElsewhere, UsageError } from "../errors.js";
import type { OutputKind } from "../files/paths.js";
import { VERSION } from "../package-info.js";

export interface ParallelFlags {
  readonly parallel?: "mpi";
}

/** @param does what the ranks share, as in "every batch" */
export function parallelOption(does: string): Option {
  return new Option(
    "--parallel <how>",
    `one command by several processes, which share ${does}: start it by mpirun or srun --mpi=pmix`,
  ).choices(["mpi"]);
}

const SILENT = {
  out() {},
  json() {},
  note() {},
  progress: { isVisible: false, show() {}, showText() {}, clear() {} },
} satisfies Partial<CliIo>;

/**
 * Runs `action` as a rank, where the flag asks for it, and says once how it ended.
 *
 * @param action gets no ranks without the flag; its `io` is silent on all ranks but the first
 */
export async function withRanks<T>(
  { parallel }: ParallelFlags,
  io: CliIo,
  action: (ranks: Communicator | undefined, io: CliIo) => Promise<T>,
): Promise<T> {
  if (parallel === undefined) return action(undefined, io);
  const ranks = await openMpi({
    onEnd: (message) => {
      if (message !== null) io.note(`dcae: ${message}`);
    },
  });
  const own = isFirst(ranks) ? io : { ...io, ...SILENT };
  try {
    await requireSame(ranks, { version: VERSION });
    const result = await action(ranks, own);
    await ranks.gather("ending", null);
    await ranks.close();
    return result;
  } catch (error) {
    // All ranks have come to these; anything else is one's own, and the others wait for it.
    if (!(error instanceof RankError || error instanceof Interrupted)) return ranks.abort(errorLine(error));
    await ranks.close();
    throw isFirst(ranks) || error instanceof Interrupted ? error : new SaidElsewhere();
  }
}

/** Threads of a rank, where nobody gives a number: what the launcher has bound it to, or its share of the machine. */
export function threadsOfRank({ neighbors }: Communicator): number {
  const bound = availableParallelism();
  return bound < cpus().length ? bound : Math.max(1, Math.floor(bound / neighbors));
}

/** Flags with the threads of a rank. */
export function ranksThreads<T extends { readonly threads?: number }>(flags: T, ranks: Communicator | undefined): T {
  return ranks === undefined || flags.threads !== undefined ? flags : { ...flags, threads: threadsOfRank(ranks) };
}

/** @throws UsageError where a command over pictures can't be shared */
export function checkSharedTiles(
  { parallel, maxMemory, shard }: ParallelFlags & { readonly maxMemory?: number; readonly shard?: unknown },
  kind: OutputKind,
): void {
  if (parallel === undefined) return;
  if (shard !== undefined) refuseParallel({ parallel }, "--shard");
  if (maxMemory === undefined) {
    throw new UsageError("--parallel needs --max-memory: what is shared are the tiles of pictures that don't fit", {
      hint: "Pictures that fit are shared by --shard.",
    });
  }
  if (kind === "array" || kind === "stdout") throw new UsageError("--parallel needs a folder or a picture as --out");
}

/** @throws UsageError for a flag that makes no sense with several ranks */
export function refuseParallel({ parallel }: ParallelFlags, option: string): void {
  if (parallel === undefined) return;
  throw new UsageError(`--parallel has no effect with ${option}`, { hint: "Leave one of them out." });
}
