/**
 * The system's MPI library, called through koffi. Neither is a dependency: who has no cluster needs none.
 *
 * Only bytes cross, so that little has to be known of a library: its communicator of all ranks, and its types of one byte and of 4, in
 * which places in large memory can be counted by its 32 bits. Open MPI's handles
 * are addresses of global variables, those of MPICH and what descends from it are integers; which one a library is, it says itself.
 */
import { EngineError, errorMessage } from "../errors.js";
import type { Transport } from "./communicator.js";

/** What koffi is used for; tests bring their own. */
export interface ForeignFunctions {
  load(path: string): ForeignLibrary;
}

export interface ForeignLibrary {
  func(prototype: string): ForeignFunction;
  /** Address of a global variable. */
  symbol(name: string, type: string): unknown;
}

export interface ForeignFunction {
  (...values: unknown[]): unknown;
  /** Calls it on another thread; the last argument hears of the end. */
  async(...values: unknown[]): void;
}

interface Flavor {
  readonly name: string;
  /** What MPI_Get_library_version begins with, somewhere in its text. */
  readonly says: RegExp;
  /** C type of handles. */
  readonly handle: string;
  readonly world: (library: ForeignLibrary) => unknown;
  readonly byte: (library: ForeignLibrary) => unknown;
  /** 4 bytes. */
  readonly word: (library: ForeignLibrary) => unknown;
}

/** The integers are those of the common ABI of MPICH, Intel MPI, MVAPICH and Cray MPICH (mpi.h of MPICH). */
export const FLAVORS: readonly Flavor[] = [
  {
    name: "Open MPI",
    says: /Open MPI/,
    handle: "void *",
    world: (library) => library.symbol("ompi_mpi_comm_world", "char"),
    byte: (library) => library.symbol("ompi_mpi_byte", "char"),
    word: (library) => library.symbol("ompi_mpi_int", "char"),
  },
  {
    name: "MPICH",
    says: /MPICH|MVAPICH|Intel\(R\) MPI/,
    handle: "int",
    world: () => 0x44000000,
    byte: () => 0x4c00010d,
    word: () => 0x4c000405,
  },
];

/** Names to look for, by platform: those of Open MPI before those of MPICH. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  linux: ["libmpi.so.40", "libmpich.so.12", "libmpi.so.12", "libmpi.so"],
  darwin: [
    "libmpi.40.dylib",
    "/opt/homebrew/lib/libmpi.40.dylib",
    "libmpi.12.dylib",
    "/opt/homebrew/lib/libmpi.12.dylib",
  ],
};

/** The variable that names the library where it isn't found, or another one is. */
export const MPI_LIBRARY = "DCAE_MPI_LIBRARY";

type Environment = Readonly<Record<string, string | undefined>>;

/** MPICH's launcher sets PMI_RANK, and Open MPI's OMPI_COMM_WORLD_RANK: with both installed, it is the launcher's library that works. */
function namesFor(env: Environment, platform: string): readonly string[] {
  const given = env[MPI_LIBRARY];
  if (given !== undefined && given !== "") return [given];
  const names = NAMES[platform] ?? [];
  const isHydra = env.PMI_RANK !== undefined && env.OMPI_COMM_WORLD_RANK === undefined && env.PMIX_RANK === undefined;
  const isOpen = (name: string) => name.includes("40");
  return isHydra ? [...names].sort((a, b) => Number(isOpen(a)) - Number(isOpen(b))) : names;
}

const VERSION_BYTES = 8192;
/** Calls come from several threads, one at a time. */
const THREAD_SERIALIZED = 2;

export interface MpiLibrary {
  /** As in "Open MPI v4.1.4 (libmpi.so.40)". */
  readonly description: string;
  /** Joins the ranks. @throws EngineError when the library can't be used so */
  start(): Transport;
  finish(): void;
}

/**
 * @param platform as `process.platform` has it
 * @throws EngineError when there is no library, or one that isn't known
 */
export function openMpiLibrary(ffi: ForeignFunctions, env: Environment, platform: string): MpiLibrary {
  const names = namesFor(env, platform);
  const problems: string[] = [];
  for (const name of names) {
    let library: ForeignLibrary;
    try {
      library = ffi.load(name);
    } catch (error) {
      problems.push(errorMessage(error).split("\n")[0] as string);
      continue;
    }
    return bind(library, name);
  }
  throw new EngineError(`no MPI library is found: ${names.length === 0 ? platform : names.join(", ")}`, {
    hint: `Install one (Debian: apt-get install openmpi-bin), or set ${MPI_LIBRARY} to its file.`,
    cause: new Error(problems.join("; ")),
  });
}

function versionOf(library: ForeignLibrary): string {
  const text = new Uint8Array(VERSION_BYTES);
  const length = [0];
  library.func("int MPI_Get_library_version(_Out_ char *text, _Out_ int *length)")(text, length);
  return new TextDecoder().decode(text.subarray(0, length[0])).replace(/\0.*$/s, "");
}

function bind(library: ForeignLibrary, name: string): MpiLibrary {
  const version = versionOf(library);
  const flavor = FLAVORS.find(({ says }) => says.test(version));
  const [first = ""] = version.split(/\s*[\n,]\s*/);
  if (flavor === undefined) {
    throw new EngineError(`${name}: is an MPI that isn't known here: ${first}`, {
      hint: `Known are ${FLAVORS.map((known) => known.name).join(" and ")}; ${MPI_LIBRARY} names another library.`,
    });
  }
  const { handle } = flavor;
  return {
    description: `${first.replace(/\s+/g, " ")} (${name})`,
    start() {
      const provided = [0];
      library.func("int MPI_Init_thread(void *argc, void *argv, int required, _Out_ int *provided)")(
        null,
        null,
        THREAD_SERIALIZED,
        provided,
      );
      if ((provided[0] as number) < THREAD_SERIALIZED) {
        throw new EngineError(`${name}: this MPI can't be called from threads`, {
          hint: "Install one that was built with threads.",
        });
      }
      return transportOf(library, flavor);
    },
    finish() {
      library.func("int MPI_Finalize()")();
    },
  };

  function transportOf(bound: ForeignLibrary, known: Flavor): Transport {
    const [world, byte, word] = [known.world(bound), known.byte(bound), known.word(bound)];
    const one = (prototype: string) => {
      const result = [0];
      bound.func(prototype)(world, result);
      return result[0] as number;
    };
    const functions = {
      exchange: bound.func(
        `int MPI_Alltoallv(void *send, void *counts, void *from, ${handle} type, void *receive, void *each, void *to, ${handle} its, ${handle} comm)`,
      ),
      allGather: bound.func(
        `int MPI_Allgather(void *send, int count, ${handle} type, void *receive, int each, ${handle} its, ${handle} comm)`,
      ),
      broadcast: bound.func(`int MPI_Bcast(void *data, int count, ${handle} type, int root, ${handle} comm)`),
      arrive: bound.func(`int MPI_Ibarrier(${handle} comm, void *request)`),
      test: bound.func("int MPI_Test(void *request, _Out_ int *flag, void *status)"),
    };
    const size = one(`int MPI_Comm_size(${handle} comm, _Out_ int *size)`);
    const rank = one(`int MPI_Comm_rank(${handle} comm, _Out_ int *rank)`);
    // Held here while a call reads them.
    const [counts, starts, ends] = [new Int32Array(size), new Int32Array(size), new Int32Array(size)];
    return {
      rank,
      size,
      exchange(send, from, receive, to, count) {
        counts.fill(count / WORD_BYTES);
        counts[rank] = 0;
        starts.set(from.map((start) => start / WORD_BYTES));
        ends.set(to.map((start) => start / WORD_BYTES));
        return onThread(functions.exchange, [send, counts, starts, word, receive, counts, ends, word, world]);
      },
      allGather: (send, receive) =>
        onThread(functions.allGather, [send, send.length, byte, receive, send.length, byte, world]),
      broadcast: (bytes) => onThread(functions.broadcast, [bytes, bytes.length, byte, 0, world]),
      async wait() {
        // Room for a request of any library, and for a status.
        const [request, status] = [new Uint8Array(16), new Uint8Array(256)];
        functions.arrive(world, request);
        const done = [0];
        for (let pause = 0; ; pause = Math.min(pause + 1, LONGEST_PAUSE)) {
          functions.test(request, done, status);
          if (done[0] !== 0) return;
          await new Promise((resolve) => setTimeout(resolve, pause));
        }
      },
    };
  }
}

const WORD_BYTES = 4;

/** Milliseconds between looks whether all have come. */
const LONGEST_PAUSE = 20;

function onThread(call: ForeignFunction, values: readonly unknown[]): Promise<void> {
  return new Promise((resolve, reject) => {
    call.async(...values, (error: unknown, code: number) => {
      if (error !== null && error !== undefined) return reject(error);
      if (code !== 0) return reject(new EngineError(`MPI failed with code ${code}`));
      resolve();
    });
  });
}
