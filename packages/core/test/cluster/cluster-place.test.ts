import { describe, expect, it } from "vitest";
import {
  type ClusterPlace,
  clusterPlaces,
  clusterRank,
  clusterShard,
  type Environment,
} from "../../src/cluster/cluster-place.js";
import { ConfigError } from "../../src/errors.js";

const array = (id: number, count: number, min?: number, step?: number, max?: number): Environment => ({
  SLURM_ARRAY_TASK_ID: String(id),
  SLURM_ARRAY_TASK_COUNT: String(count),
  ...(min === undefined ? {} : { SLURM_ARRAY_TASK_MIN: String(min) }),
  ...(step === undefined ? {} : { SLURM_ARRAY_TASK_STEP: String(step) }),
  ...(max === undefined ? {} : { SLURM_ARRAY_TASK_MAX: String(max) }),
});
const step = (rank: number, size: number, nodes = 1): Environment => ({
  SLURM_PROCID: String(rank),
  SLURM_NTASKS: String(size),
  SLURM_STEP_ID: "0",
  SLURM_STEP_NUM_TASKS: String(size),
  SLURM_STEP_NUM_NODES: String(nodes),
});
/** What a batch script sees of its own job. */
const batch = (tasks = 1): Environment => ({ SLURM_PROCID: "0", SLURM_NTASKS: String(tasks), SLURM_JOB_ID: "7" });
const ompi = (rank: number, size: number): Environment => ({
  OMPI_COMM_WORLD_RANK: String(rank),
  OMPI_COMM_WORLD_SIZE: String(size),
  PMIX_RANK: String(rank),
});

const numbers = ({ index, count }: Pick<ClusterPlace, "index" | "count">) => [index, count];

describe("clusterShard", () => {
  it.each<[string, Environment, [number, number]]>([
    ["an array from 0", array(3, 8, 0, 1, 7), [3, 8]],
    ["an array from 1", array(1, 8, 1, 1, 8), [0, 8]],
    ["the last of an array from 1", array(8, 8, 1, 1, 8), [7, 8]],
    ["an array in steps", array(5, 8, 1, 2, 15), [2, 8]],
    ["the end of an array in steps", array(15, 8, 1, 2, 15), [7, 8]],
    ["an array without its bounds", array(2, 4), [2, 4]],
    ["an array of one", array(9, 1, 9, 1, 9), [0, 1]],
    ["an array whose script asked for several tasks", { ...array(3, 8, 0, 1, 7), ...batch(4) }, [3, 8]],
    ["an array whose script calls srun -n 1", { ...array(3, 8, 0, 1, 7), ...step(0, 1) }, [3, 8]],
    ["srun", step(1, 4), [1, 4]],
    ["ranks without the number of the step", { SLURM_PROCID: "2", SLURM_NTASKS: "4" }, [2, 4]],
    ["srun --mpi=pmix", { ...step(1, 4), PMIX_RANK: "1" }, [1, 4]],
    ["srun --mpi=pmi2", { ...step(1, 4), PMI_RANK: "1", PMI_SIZE: "4" }, [1, 4]],
    ["a step of two tasks out of a job of four", { ...step(1, 2), SLURM_NTASKS: "4" }, [1, 2]],
    ["mpirun", ompi(2, 3), [2, 3]],
    ["mpirun in a batch script", { ...batch(3), ...ompi(2, 3) }, [2, 3]],
    ["mpirun on two machines of Slurm", { ...step(1, 2, 2), ...ompi(5, 8) }, [5, 8]],
    ["MPICH", { PMI_RANK: "0", PMI_SIZE: "2" }, [0, 2]],
    ["Kubernetes", { JOB_COMPLETION_INDEX: "0", JOB_COMPLETIONS: "100" }, [0, 100]],
    ["AWS Batch", { AWS_BATCH_JOB_ARRAY_INDEX: "99", AWS_BATCH_JOB_ARRAY_SIZE: "100" }, [99, 100]],
    ["a pod in a step of one", { JOB_COMPLETION_INDEX: "2", JOB_COMPLETIONS: "3", ...step(0, 1) }, [2, 3]],
    ["two sources that agree", { ...array(1, 2, 0, 1, 1), JOB_COMPLETION_INDEX: "1", JOB_COMPLETIONS: "2" }, [1, 2]],
    ["empty variables are unset", { ...array(1, 2), JOB_COMPLETION_INDEX: "", PMI_RANK: " " }, [1, 2]],
  ])("%s", (_, env, expected) => {
    expect(numbers(clusterShard(env))).toEqual(expected);
  });

  it.each<[string, Environment, RegExp]>([
    [
      "outside of any engine",
      { PATH: "/bin" },
      /no engine says which part this is: none of SLURM_ARRAY_TASK_ID, JOB_COM/,
    ],
    [
      "an array and a step",
      { ...array(3, 8, 0, 1, 7), ...step(1, 2) },
      /SLURM_ARRAY_TASK_ID=3 of SLURM_ARRAY_TASK_COUNT=8 and SLURM_PROCID=1 of SLURM_STEP_NUM_TASKS=2 contradict/,
    ],
    [
      "an array and a pod",
      { ...array(3, 8), JOB_COMPLETION_INDEX: "2", JOB_COMPLETIONS: "8" },
      /SLURM_ARRAY_TASK_ID=3 .* and JOB_COMPLETION_INDEX=2 of JOB_COMPLETIONS=8 contradict/,
    ],
    [
      "srun and mpirun of other sizes on one machine",
      { ...step(1, 4), ...ompi(1, 2) },
      /OMPI_COMM_WORLD_RANK=1 .* and SLURM_PROCID=1 of SLURM_STEP_NUM_TASKS=4 contradict/,
    ],
    ["a script that forgot srun", batch(4), /SLURM_NTASKS=4, but this is the batch script, which runs once/],
    [
      "a pod that doesn't know how many",
      { JOB_COMPLETION_INDEX: "2" },
      /JOB_COMPLETION_INDEX is set, but JOB_COMPLETIONS isn't/,
    ],
    ["PMIx without a size", { PMIX_RANK: "0" }, /PMIX_RANK is set, but OMPI_COMM_WORLD_SIZE or .* isn't/],
    [
      "an index beyond",
      { JOB_COMPLETION_INDEX: "8", JOB_COMPLETIONS: "8" },
      /JOB_COMPLETION_INDEX=8: is beyond the last/,
    ],
    ["no number", { PMI_RANK: "one", PMI_SIZE: "2" }, /PMI_RANK=one isn't an integer from 0 on/],
    ["no tasks", { PMI_RANK: "0", PMI_SIZE: "0" }, /PMI_SIZE=0 isn't an integer from 1 on/],
    [
      "an array of single numbers",
      array(5, 3, 1, 1, 9),
      /SLURM_ARRAY_TASK_ID=5, _COUNT=3, _MIN=1, _MAX=9, _STEP=1: the numbers/,
    ],
    ["a number between the steps", array(2, 8, 1, 2, 15), /don't follow each other/],
    ["a number before the first", array(0, 8, 1, 1, 8), /don't follow each other/],
  ])("refuses %s", (_, env, message) => {
    expect(() => clusterShard(env)).toThrow(ConfigError);
    expect(() => clusterShard(env)).toThrow(message);
  });
});

describe("clusterRank", () => {
  it("is that of the launcher, whatever the array says", () => {
    expect(clusterRank({ ...array(3, 8, 0, 1, 7), ...step(1, 2) })).toMatchObject({ index: 1, count: 2, kind: "rank" });
    expect(clusterRank({ ...step(1, 2, 2), ...ompi(5, 8) })).toMatchObject({ index: 5, count: 8 });
    expect(clusterRank({ ...step(0, 1) })).toMatchObject({ index: 0, count: 1 });
  });

  it("is none in a batch script, in a pod, and on a machine of one's own", () => {
    expect(clusterRank(batch(4))).toBeUndefined();
    expect(clusterRank({ JOB_COMPLETION_INDEX: "1", JOB_COMPLETIONS: "2" })).toBeUndefined();
    expect(clusterRank({})).toBeUndefined();
  });

  it("refuses launchers that contradict each other", () => {
    expect(() => clusterRank({ ...step(1, 4), PMI_RANK: "0", PMI_SIZE: "4" })).toThrow(
      /PMI_RANK=0 .* and SLURM_PROCID=1/,
    );
  });
});

it("clusterPlaces names all that is said", () => {
  expect(clusterPlaces({ ...array(3, 8, 0, 1, 7), ...step(0, 1) }).map(({ source }) => source)).toEqual([
    "SLURM_ARRAY_TASK_ID=3 of SLURM_ARRAY_TASK_COUNT=8",
    "SLURM_PROCID=0 of SLURM_STEP_NUM_TASKS=1",
  ]);
});
