/**
 * What one update runs: one or several stages, each a step program or a pair of programs that gathers gradients over chunks.
 *
 * Plain training has one stage. A GAN has one joint stage; two that take turns ("alternate"); or two that see the same chunks,
 * each with gradients of its own, when gradients are accumulated (training.md section 6). Both kinds of two may accumulate.
 */
import type { Weights } from "@dcae/core/checkpoint";
import { ConfigError, type Program, type Tensor } from "@dcae/core/graph";
import type { Engine, EngineState, LoadedProgram, NamedTensors } from "@dcae/core/runtime";
import type { AccumulationPrograms } from "../step/training-step.js";

type StageRun = Program | AccumulationPrograms;

/** A program of an update, and how often it runs. */
export interface UpdateStage {
  readonly run: StageRun;
  /** The same stage for batches of other shapes: each batch runs the one whose inputs it has. Default: none. */
  readonly others?: readonly StageRun[];
  /** Runs at updates whose number from 0 is `turn` modulo `every`. Default: every update. */
  readonly every?: number;
  readonly turn?: number;
}

/** Numbers by name. */
export type Metrics = Record<string, number>;

export interface LoadedStages {
  /** Batches that one update consumes. */
  readonly chunks: number;
  /** Runs update number `step` (from 1). @returns the means over its chunks */
  update(step: number, batches: readonly NamedTensors[]): Promise<Metrics>;
  dispose(): Promise<void>;
}

const isAccumulated = (run: StageRun): run is AccumulationPrograms => "apply" in run;

/** What of a stage runs a batch: the one whose inputs have the batch's shapes. */
function runFor({ run, others = [] }: UpdateStage, batch: NamedTensors): StageRun {
  const fits = (candidate: StageRun) => {
    const { inputs } = isAccumulated(candidate) ? candidate.accumulate : candidate;
    return [...inputs].every(([name, { shape }]) => batch[name]?.shape.join() === shape.join());
  };
  // Where none fits, the engine says what is wrong with the inputs.
  return others.length === 0 ? run : ([run, ...others].find(fits) ?? run);
}

/** All programs of the stages. The update that ends an accumulation is the same for all shapes. */
export function stagePrograms(stages: readonly UpdateStage[]): Program[] {
  return stages.flatMap(({ run, others = [] }) => [
    ...(isAccumulated(run) ? [run.accumulate, run.apply] : [run]),
    ...others.map((other) => (isAccumulated(other) ? other.accumulate : other)),
  ]);
}

function toNumbers(outputs: Readonly<Record<string, Tensor>>): Metrics {
  return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, Number(tensor.at())]));
}

function addTo(sums: Metrics, metrics: Metrics, share: number): void {
  for (const [name, value] of Object.entries(metrics)) sums[name] = (sums[name] ?? 0) + value * share;
}

/**
 * Loads the stages' programs against the state.
 *
 * @param chunks batches per update; more than 1 only where every stage accumulates
 */
export async function loadStages(
  engine: Engine,
  stages: readonly UpdateStage[],
  chunks: number,
  weights: Weights,
  state: EngineState,
): Promise<LoadedStages> {
  if (chunks !== 1 && !stages.every(({ run }) => isAccumulated(run))) {
    throw new ConfigError(`${chunks} batches per update need stages that accumulate gradients`);
  }
  const loaded = new Map<Program, LoadedProgram>();
  for (const program of stagePrograms(stages)) loaded.set(program, await engine.load(program, weights, { state }));
  const runProgram = async (program: Program, inputs: NamedTensors) =>
    toNumbers(await (loaded.get(program) as LoadedProgram).run(inputs));

  return {
    chunks,
    async update(step, batches) {
      const metrics: Metrics = {};
      for (const stage of stages) {
        const { run, every = 1, turn = 0 } = stage;
        if ((step - 1) % every !== turn) continue;
        if (!isAccumulated(run)) {
          addTo(
            metrics,
            await runProgram(runFor(stage, batches[0] as NamedTensors) as Program, batches[0] as NamedTensors),
            1,
          );
          continue;
        }
        for (const batch of batches) {
          const { accumulate } = runFor(stage, batch) as AccumulationPrograms;
          addTo(metrics, await runProgram(accumulate, batch), 1 / batches.length);
        }
        addTo(metrics, await runProgram(run.apply, {}), 1);
      }
      return metrics;
    },
    async dispose() {
      await Promise.all([...loaded.values()].map((program) => program.dispose()));
    },
  };
}
