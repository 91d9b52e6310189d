/** Which MPI is there, and whether it is the launcher's: with libraries that only pretend. */
import { expect, test } from "vitest";
import { EngineError } from "../../src/errors.js";
import { type ForeignFunctions, openMpiLibrary } from "../../src/parallel/mpi-library.node.js";
import { checkSize } from "../../src/parallel/open-mpi.node.js";
import { loadKoffi } from "../../src/runtime/koffi.node.js";

interface Pretence {
  readonly version: string;
  readonly provided?: number;
}

/** Libraries by file name; `calls` gets what is called, with the handles. */
function pretend(libraries: Readonly<Record<string, Pretence>>, calls: unknown[][] = []): ForeignFunctions {
  return {
    load(path) {
      const library = libraries[path];
      if (library === undefined) throw new Error(`${path}: cannot open shared object file`);
      return {
        symbol: (name) => `address of ${name}`,
        func(prototype) {
          const name = /(MPI_\w+)/.exec(prototype)?.[1] as string;
          const call = (...values: unknown[]) => {
            calls.push([name, ...values]);
            const last = values.at(-1) as number[];
            if (name === "MPI_Get_library_version") {
              (values[0] as Uint8Array).set(new TextEncoder().encode(library.version));
              last[0] = library.version.length;
            }
            if (name === "MPI_Init_thread") last[0] = library.provided ?? 2;
            if (name === "MPI_Comm_rank") last[0] = 1;
            if (name === "MPI_Comm_size") last[0] = 4;
            return 0;
          };
          const async = (...values: unknown[]) => {
            const done = values.pop() as (error: null, code: number) => void;
            done(null, call(...values));
          };
          return Object.assign(call, { async });
        },
      };
    },
  };
}

const OPEN = { version: "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4\n" };
const MPICH = { version: "MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr  7" };

test.each([
  ["it isn't installed", () => undefined],
  [".*/nowhere/koffi.js.*", () => "file:///nowhere/koffi.js"],
])("where koffi doesn't load, one line says why and what to install: %s", async (why, find) => {
  const error = await loadKoffi(find).catch((problem: unknown) => problem);
  expect(error).toBeInstanceOf(EngineError);
  const { message, hint } = error as EngineError;
  expect(message).toMatch(new RegExp(`^koffi, through which MPI is called, doesn't load: ${why}$`));
  expect(hint).toBe("Install it: npm install koffi.");
});

test("Open MPI's handles are addresses, MPICH's integers", async () => {
  const calls: unknown[][] = [];
  const open = openMpiLibrary(pretend({ "libmpi.so.40": OPEN }, calls), {}, "linux");
  expect(open.description).toBe("Open MPI v4.1.4 (libmpi.so.40)");
  const transport = open.start();
  expect([transport.rank, transport.size]).toEqual([1, 4]);
  const [send, receive] = [new Uint8Array(16), new Uint8Array(16)];
  await transport.exchange(send, [0, 4, 8, 12], receive, [12, 8, 4, 0], 4);
  const [word, world] = ["address of ompi_mpi_int", "address of ompi_mpi_comm_world"];
  const [counts, from, to] = [
    [1, 0, 1, 1],
    [0, 1, 2, 3],
    [3, 2, 1, 0],
  ].map((values) => Int32Array.from(values));
  expect(calls.at(-1)).toEqual(["MPI_Alltoallv", send, counts, from, word, receive, counts, to, word, world]);

  const mpich = openMpiLibrary(pretend({ "libmpich.so.12": MPICH }, calls), {}, "linux");
  expect(mpich.description).toBe("MPICH Version: 4.0.2 (libmpich.so.12)");
  await mpich.start().broadcast(send);
  expect(calls.at(-1)).toEqual(["MPI_Bcast", send, 16, 0x4c00010d, 0, 0x44000000]);
});

test("with both installed, the launcher decides", () => {
  const both = pretend({ "libmpi.so.40": OPEN, "libmpich.so.12": MPICH });
  expect(openMpiLibrary(both, { OMPI_COMM_WORLD_RANK: "0" }, "linux").description).toMatch(/^Open MPI/);
  expect(openMpiLibrary(both, { PMI_RANK: "0" }, "linux").description).toMatch(/^MPICH/);
  expect(openMpiLibrary(both, { PMI_RANK: "0", PMIX_RANK: "0" }, "linux").description).toMatch(/^Open MPI/);
  expect(openMpiLibrary(both, { DCAE_MPI_LIBRARY: "libmpich.so.12" }, "linux").description).toMatch(/^MPICH/);
});

test("no library, another one, and one without threads: each says what to do", () => {
  const refusal = (libraries: Readonly<Record<string, Pretence>>, env = {}) => {
    try {
      openMpiLibrary(pretend(libraries), env, "linux").start();
    } catch (error) {
      const { message, hint } = error as { message: string; hint: string };
      return `${message}. ${hint}`;
    }
    throw new Error("it was taken");
  };
  expect(refusal({})).toMatch(/no MPI library is found: libmpi.so.40, .*apt-get install openmpi-bin.*DCAE_MPI_LIBRARY/);
  expect(refusal({ "libmpi.so.40": { version: "Some MPI 1.0" } })).toMatch(
    /libmpi.so.40: is an MPI that isn't known here: Some MPI 1.0/,
  );
  expect(refusal({ "libmpi.so.40": { ...OPEN, provided: 1 } })).toMatch(/can't be called from threads/);
  expect(refusal({ "libmpi.so.40": OPEN }, { DCAE_MPI_LIBRARY: "/opt/none.so" })).toMatch(
    /no MPI library is found: \/opt\/none.so/,
  );
});

test("a library that isn't the launcher's finds each process alone", () => {
  const library = { description: "Open MPI v4.1.4 (libmpi.so.40)" };
  expect(() => checkSize(library, 4, "OMPI_COMM_WORLD_RANK=1 of OMPI_COMM_WORLD_SIZE=4", 4)).not.toThrow();
  expect(() => checkSize(library, 1, "PMI_RANK=1 of PMI_SIZE=4", 4)).toThrow(
    "Open MPI v4.1.4 (libmpi.so.40) finds 1 rank, but PMI_RANK=1 of PMI_SIZE=4 says 4: it isn't the launcher's MPI",
  );
  try {
    checkSize(library, 1, "SLURM_PROCID=0 of SLURM_STEP_NUM_TASKS=2", 2);
  } catch (error) {
    expect((error as { hint: string }).hint).toMatch(/^Start it by srun --mpi=pmix/);
  }
});
