/** What one update takes on an engine, tried out on made-up weights and inputs: its time doesn't depend on their values. */

import { countMacs, createRandom, dtypeKind, type Program, sizeOf, staticShape, Tensor } from "@dcae/core/graph";
import { formatBytes } from "@dcae/core/internal";
import { type Engine, type NamedTensors, withClosing } from "@dcae/core/runtime";
import { completeWeights, createTrainingState } from "../step/training-state.js";
import { estimateMemory } from "./estimate-memory.js";
import { loadStages, stagePrograms, type UpdateStage } from "./update-stage.js";

/** An update of more multiply-accumulates than this takes a CPU too long for trying it out. */
const MAX_MACS = 5e11;

/** Seconds per update, or why they weren't measured; `estimated` says why they were estimated instead. */
export type MeasuredUpdate = { readonly seconds: number; readonly estimated?: string } | { readonly reason: string };

function madeUp(programs: readonly Program[]): NamedTensors {
  const random = createRandom(0, "measure");
  const inputs = programs.flatMap((program) =>
    [...program.inputs].map(([name, { shape, dtype }]): [string, Tensor] => {
      const sides = staticShape(shape, name);
      if (dtypeKind(dtype) !== "float") return [name, Tensor.zeros(sides, dtype)];
      return [name, Tensor.float32(random.uniform(new Float32Array(sizeOf(sides)), -1, 1), sides)];
    }),
  );
  return Object.fromEntries(inputs);
}

/** Of several sizes the first, which is the phase's own. */
function firstSize(planned: readonly UpdateStage[]): UpdateStage[] {
  return planned.map(({ others, ...stage }) => stage);
}

/** Multiply-accumulates of an update. */
function workOf(planned: readonly UpdateStage[], chunks: number): number {
  return stagePrograms(firstSize(planned)).reduce((sum, program) => sum + countMacs(program), 0) * chunks;
}

/**
 * As `measureUpdate`; where an update is too large to be tried out, from the time of a smaller one, in proportion to their work.
 *
 * @param smaller stages of the same networks, for one batch of less
 */
export async function measureOrEstimateUpdate(
  engine: Engine,
  planned: readonly UpdateStage[],
  chunks: number,
  smaller: () => readonly UpdateStage[],
): Promise<MeasuredUpdate> {
  const measured = await measureUpdate(engine, planned, chunks);
  if ("seconds" in measured) return measured;
  const stages = smaller();
  const sample = await measureUpdate(engine, stages, 1);
  if (!("seconds" in sample)) return measured;
  const seconds = (sample.seconds * workOf(planned, chunks)) / workOf(stages, 1);
  return { seconds, estimated: measured.reason };
}

/**
 * Makes a few updates and forgets them.
 *
 * @param chunks batches per update
 * @param available bytes of memory that may be used
 */
export async function measureUpdate(
  engine: Engine,
  planned: readonly UpdateStage[],
  chunks: number,
  available: number = process.availableMemory(),
): Promise<MeasuredUpdate> {
  const stages = firstSize(planned);
  const programs = stagePrograms(stages);
  const { process: needed } = estimateMemory(programs);
  if (needed > available)
    return { reason: `it needs ${formatBytes(needed)} of memory, ${formatBytes(available)} are free` };
  const macs = workOf(planned, chunks);
  if (engine.device === "cpu" && macs > MAX_MACS) {
    return {
      reason: `an update of ${(macs / 1e12).toPrecision(2)} tera-operations takes a CPU too long to try it out`,
    };
  }
  return withClosing(async (onEnd) => {
    const nothing = { source: "made up", entries: new Map(), close: async () => undefined };
    const weights = completeWeights(programs, nothing, 0);
    const state = await createTrainingState(engine, programs, weights);
    onEnd(() => state.dispose());
    const loaded = await loadStages(engine, stages, chunks, weights, state);
    onEnd(() => loaded.dispose());
    const batches = Array.from({ length: chunks }, () => madeUp(programs));
    // Networks that take turns are measured together; the first round is the engine's own preparation.
    const round = Math.max(...stages.map(({ every = 1 }) => every));
    for (let step = 1; step <= round; step++) await loaded.update(step, batches);
    const start = performance.now();
    for (let step = 1; step <= round; step++) await loaded.update(step, batches);
    return { seconds: (performance.now() - start) / 1000 / round };
  });
}
