/**
 * Which of many processes this one is, as the engine that started it says in the environment: Slurm, MPI launchers, Kubernetes, AWS Batch.
 *
 * Two kinds of places: the index of a task in an array (Slurm arrays, indexed jobs), whose tasks know nothing of each other, and the rank of
 * a process in a step that an MPI launcher or `srun` started together. Sources: the manuals of sbatch and srun ("output environment
 * variables"), mpirun(1) of Open MPI, the PMI and PMIx standards, Kubernetes "Indexed Job", AWS Batch "array jobs".
 */
import { ConfigError } from "../errors.js";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ClusterPlace {
  readonly kind: "array" | "rank";
  /** From 0. */
  readonly index: number;
  readonly count: number;
  /** The variables that say so, for messages: "SLURM_ARRAY_TASK_ID=3". */
  readonly source: string;
}

interface PlaceSource {
  /** What sets it, for people. */
  readonly engine: string;
  readonly kind: ClusterPlace["kind"];
  /** The variable whose presence means this source. */
  readonly index: string;
  /** Where the number of processes stands: the first that is set. */
  readonly count: readonly string[];
  /** What to do where none of them is set. */
  readonly withoutCount: string;
}

const MPI_LAUNCHERS = "Start the program with mpirun, or with srun --mpi=pmix.";

/** One row for each place in which an engine says it. A rank's launchers come from the innermost to the outermost. */
export const PLACE_SOURCES = [
  {
    engine: "Slurm array",
    kind: "array",
    index: "SLURM_ARRAY_TASK_ID",
    count: ["SLURM_ARRAY_TASK_COUNT"],
    withoutCount: "Start it by sbatch --array, which sets both.",
  },
  {
    engine: "Kubernetes Indexed Job",
    kind: "array",
    index: "JOB_COMPLETION_INDEX",
    count: ["JOB_COMPLETIONS"],
    withoutCount:
      "Kubernetes doesn't tell it: set JOB_COMPLETIONS in the manifest's env to what spec.completions says.",
  },
  {
    engine: "AWS Batch array",
    kind: "array",
    index: "AWS_BATCH_JOB_ARRAY_INDEX",
    count: ["AWS_BATCH_JOB_ARRAY_SIZE"],
    withoutCount: "Set AWS_BATCH_JOB_ARRAY_SIZE in the job definition to the size of the array.",
  },
  {
    engine: "Open MPI",
    kind: "rank",
    index: "OMPI_COMM_WORLD_RANK",
    count: ["OMPI_COMM_WORLD_SIZE"],
    withoutCount: MPI_LAUNCHERS,
  },
  {
    engine: "PMI (MPICH, srun --mpi=pmi2)",
    kind: "rank",
    index: "PMI_RANK",
    count: ["PMI_SIZE"],
    withoutCount: MPI_LAUNCHERS,
  },
  {
    engine: "PMIx",
    kind: "rank",
    index: "PMIX_RANK",
    // The standard has no variable for it; launchers say it beside.
    count: ["OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
    withoutCount: MPI_LAUNCHERS,
  },
  {
    engine: "Slurm step",
    kind: "rank",
    index: "SLURM_PROCID",
    count: ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
    withoutCount: "Start it by srun -n, which sets both.",
  },
] as const satisfies readonly PlaceSource[];

/** What the table and `slurmArray` read, for `dcae doctor`. */
export const PLACE_VARIABLES: readonly string[] = [
  ...new Set(PLACE_SOURCES.flatMap(({ index, count }) => [index, ...count])),
  "SLURM_ARRAY_TASK_MIN",
  "SLURM_ARRAY_TASK_MAX",
  "SLURM_ARRAY_TASK_STEP",
  "SLURM_JOB_ID",
  "SLURM_STEP_ID",
  "SLURM_RESTART_COUNT",
];

/** Empty is unset: manifests write `value: ""`. */
function textOf(env: Environment, name: string): string | undefined {
  const text = env[name]?.trim();
  return text === "" ? undefined : text;
}

/** @throws ConfigError naming the variable */
function wholeOf(env: Environment, name: string, least: number): number | undefined {
  const text = textOf(env, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value >= least) return value;
  throw new ConfigError(`${name}=${text} isn't an integer from ${least} on`, {
    hint: "The engine that started this process sets it; unset it where it is left over.",
  });
}

function required(env: Environment, name: string, least: number): number {
  const value = wholeOf(env, name, least);
  if (value !== undefined) return value;
  throw new ConfigError(`${name} isn't set`);
}

/**
 * Everything that engines say about this process, in the order of the table.
 *
 * @throws ConfigError for a variable that isn't a number, an index without its count or beyond it, and an array that isn't regular
 */
export function clusterPlaces(env: Environment): ClusterPlace[] {
  const places: ClusterPlace[] = [];
  for (const source of PLACE_SOURCES) {
    if (textOf(env, source.index) === undefined || isBatchScript(env, source)) continue;
    const name = source.count.find((candidate) => textOf(env, candidate) !== undefined);
    if (name === undefined) {
      throw new ConfigError(`${source.index} is set, but ${source.count.join(" or ")} isn't: of how many is it one?`, {
        hint: source.withoutCount,
      });
    }
    const count = required(env, name, 1);
    const index = source.index === "SLURM_ARRAY_TASK_ID" ? slurmArrayIndex(env, count) : required(env, source.index, 0);
    const said = `${source.index}=${textOf(env, source.index)}`;
    if (index >= count) {
      throw new ConfigError(`${said}: is beyond the last of ${name}=${count}, which counts from 0`, {
        hint: "Both must come from one engine and one job.",
      });
    }
    places.push({ kind: source.kind, index, count, source: `${said} of ${name}=${count}` });
  }
  return places;
}

/**
 * A batch script has `SLURM_PROCID=0` and the number of tasks that `srun` would start, but is one process. Programs that `srun`
 * started have the number of their step.
 */
function isBatchScript(env: Environment, { index }: PlaceSource): boolean {
  if (index !== "SLURM_PROCID" || textOf(env, "SLURM_STEP_ID") !== undefined) return false;
  return textOf(env, "SLURM_PROCID") === "0";
}

/** Arrays begin at any number and may have a step: `--array=1-15:2` has 8 tasks. */
function slurmArrayIndex(env: Environment, count: number): number {
  const id = required(env, "SLURM_ARRAY_TASK_ID", 0);
  const step = wholeOf(env, "SLURM_ARRAY_TASK_STEP", 1) ?? 1;
  const first = wholeOf(env, "SLURM_ARRAY_TASK_MIN", 0);
  const last = wholeOf(env, "SLURM_ARRAY_TASK_MAX", 0);
  // Without the first, an array is taken to begin at 0, as in the manuals' examples.
  const index = (id - (first ?? 0)) / step;
  const isRegular = last === undefined || first === undefined || (last - first) / step === count - 1;
  if (isRegular && Number.isInteger(index) && index >= 0 && index < count) return index;
  const array = `SLURM_ARRAY_TASK_ID=${id}, _COUNT=${count}, _MIN=${first ?? "unset"}, _MAX=${last ?? "unset"}, _STEP=${step}`;
  throw new ConfigError(`${array}: the numbers of the array don't follow each other, so that none is the shard's`, {
    hint: "Submit the whole range (--array=0-7, or 1-15:2; tasks that are done end at once), or give --shard i/n.",
  });
}

/**
 * The rank of this process among those that an MPI launcher or `srun` started together; undefined where none did.
 *
 * @throws ConfigError where two launchers contradict each other, naming both
 */
export function clusterRank(env: Environment): ClusterPlace | undefined {
  return agreed(ranksOf(env));
}

function ranksOf(env: Environment): ClusterPlace[] {
  const ranks = clusterPlaces(env).filter(({ kind }) => kind === "rank");
  const ofMpi = ranks.filter(({ source }) => !source.startsWith("SLURM_"));
  return ofMpi.length > 0 && isDaemonStep(env) ? ofMpi : ranks;
}

/** Open MPI's mpirun starts one daemon on each machine by `srun`; what the daemons start inherits the numbers of that step. */
function isDaemonStep(env: Environment): boolean {
  if (textOf(env, "OMPI_COMM_WORLD_RANK") === undefined) return false;
  const [tasks, nodes] = [wholeOf(env, "SLURM_STEP_NUM_TASKS", 1), wholeOf(env, "SLURM_STEP_NUM_NODES", 1)];
  return tasks !== undefined && tasks === nodes;
}

/**
 * Which part of a job this process does. An array of single processes and a step of many are both fine; a process that was started alone
 * (`1 of 1`) says nothing beside a source that counts more.
 *
 * @throws ConfigError outside of any engine, and where two sources contradict each other, naming both
 */
export function clusterShard(env: Environment): ClusterPlace {
  const ranks = ranksOf(env);
  const all = [...clusterPlaces(env).filter(({ kind }) => kind === "array"), ...ranks];
  const telling = all.filter(({ count }) => count > 1);
  const place = agreed(telling.length > 0 ? telling : all.slice(0, 1));
  const tasks = wholeOf(env, "SLURM_NTASKS", 1) ?? 1;
  if (telling.length === 0 && tasks > 1 && textOf(env, "SLURM_PROCID") === "0" && ranks.length === 0) {
    throw new ConfigError(`SLURM_NTASKS=${tasks}, but this is the batch script, which runs once`, {
      hint: "Put srun before the command, or submit an array (sbatch --array).",
    });
  }
  if (place !== undefined) return place;
  throw new ConfigError(
    `no engine says which part this is: none of ${PLACE_SOURCES.map(({ index }) => index).join(", ")} is set`,
    { hint: "Give --shard i/n, or start it by sbatch --array, srun, mpirun, an Indexed Job or an AWS Batch array." },
  );
}

function agreed(places: readonly ClusterPlace[]): ClusterPlace | undefined {
  const [first, ...others] = places;
  const other = others.find(({ index, count }) => index !== first?.index || count !== first.count);
  if (first === undefined || other === undefined) return first;
  throw new ConfigError(`${first.source} and ${other.source} contradict each other: which process is this?`, {
    hint: "Start it by one engine, unset what another one left behind, or give the number by hand.",
  });
}
