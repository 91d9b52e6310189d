/** The ranks that mpirun or srun started, as a communicator. */
import { hostname } from "node:os";
import { inspect } from "node:util";
import { clusterRank } from "../cluster/cluster-place.js";
import { ConfigError, EngineError } from "../errors.js";
import { loadKoffi } from "../runtime/koffi.node.js";
import { type Communicator, createCommunicator } from "./communicator.js";
import { type ForeignFunctions, MPI_LIBRARY, type MpiLibrary, openMpiLibrary } from "./mpi-library.node.js";
import { joinWatch, type Meeting, openWatch, type RankWatch } from "./rank-watch.node.js";

/** @throws EngineError when the library isn't that of the launcher: each process would be a rank of its own */
export function checkSize(library: Pick<MpiLibrary, "description">, size: number, source: string, count: number): void {
  if (size === count) return;
  const slurm = source.startsWith("SLURM_")
    ? "Start it by srun --mpi=pmix"
    : "Start it by the mpirun that belongs to it";
  throw new EngineError(
    `${library.description} finds ${size} ${size === 1 ? "rank" : "ranks"}, but ${source} says ${count}: it isn't the launcher's MPI`,
    { hint: `${slurm}, or set ${MPI_LIBRARY} to the library of the launcher.` },
  );
}

const LAST_WORDS_MILLISECONDS = 200;

/** What to do where the ranks end otherwise than well. */
export interface OpenMpiOptions {
  /**
   * A rank was lost, or ended all: what the user is told (null where another rank says it). The process ends right after.
   */
  readonly onEnd: (message: string | null) => void;
}

/**
 * Joins the ranks that mpirun or `srun --mpi=pmix` started. Close it at the end. When the process ends, it does so at once: what libraries do at an exit may fail after MPI.
 *
 * @throws ConfigError when nothing started this process as one of several; EngineError without koffi or MPI
 */
export async function openMpi({ onEnd }: OpenMpiOptions): Promise<Communicator> {
  const place = clusterRank(process.env);
  if (place === undefined) {
    throw new ConfigError("MPI: this process was started alone, not as a rank of several", {
      hint: "Start the command by `mpirun -n 2 dcae ...` or `srun --mpi=pmix -n 2 dcae ...`.",
    });
  }
  const ffi = await loadKoffi<ForeignFunctions>();
  const library = openMpiLibrary(ffi, process.env, process.platform);
  const exit = ffi.load(process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6").func("void _exit(int code)");
  const transport = library.start();
  // An error that nobody catches would be shown after this.
  process.on("uncaughtExceptionMonitor", (error) => process.stderr.write(`${inspect(error)}\n`));
  process.on("exit", (code) => exit(code));
  const { size } = transport;
  checkSize(library, size, place.source, place.count);

  const ended = (message: string, isShown: boolean): Promise<never> => {
    onEnd(isShown ? message : null);
    // The word must be with the others, and what was said with its reader, before this process is gone.
    return new Promise(() => setTimeout(() => exit(1), LAST_WORDS_MILLISECONDS));
  };
  let watch: RankWatch | undefined;
  const names = Array.from({ length: size }, (_, i) => `rank ${i}`);
  let neighbors = 1;
  const communicator = createCommunicator(transport, {
    names,
    neighbors: () => neighbors,
    abort(message) {
      watch?.end(message);
      return ended(message, true);
    },
    async close() {
      await transport.wait();
      watch?.leave();
      library.finish();
    },
  });
  const hosts = await communicator.gather("who", { host: hostname(), process: process.pid });
  hosts.forEach((who, i) => {
    names[i] = `rank ${i} (process ${who.process} on ${who.host})`;
  });
  neighbors = hosts.filter(({ host }) => host === hostname()).length;
  watch = await startWatch(communicator, ended);
  return communicator;
}

async function startWatch(
  communicator: Communicator,
  onEnd: (message: string, isShown: boolean) => void,
): Promise<RankWatch> {
  const { rank, names } = communicator;
  const opened = rank === 0 ? await openWatch({ names, onEnd }) : undefined;
  const [meeting] = await communicator.gather<Meeting | null>("meeting", opened?.meeting ?? null);
  try {
    const watch = opened?.watch ?? (await joinWatch(meeting as Meeting, rank, { names, onEnd }));
    await communicator.gather("watching", null);
    return watch;
  } catch (error) {
    const where = (meeting as Meeting).addresses.join(", ");
    return communicator.fail(
      new EngineError(`can't reach ${names[0]} at ${where}, port ${(meeting as Meeting).port}`, {
        hint: "Ranks watch over each other by TCP: let them reach each other at any port.",
        cause: error,
      }),
    );
  }
}
