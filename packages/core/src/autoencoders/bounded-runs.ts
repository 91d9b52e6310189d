/** Runs of a model under a limit of memory: plans for each shape, and the programs that they consist of, one at a time. */
import type { Weights } from "../checkpoint/weights.js";
import { ConfigError } from "../errors.js";
import type { Program } from "../graph/program.js";
import { sizeOf, Tensor } from "../graph/tensor.js";
import type { Engine } from "../runtime/engine.js";
import { createProgramCache } from "../runtime/loaded-cache.js";
import { type RunProgram, runExact } from "./exact-tiling.js";
import { type ExactPlan, planExactTiling } from "./exact-tiling-plan.js";

export interface BoundedRuns {
  /**
   * How one picture of a batch is run so that the process stays within its limit.
   *
   * @param shape [N, C, H, W] of the batch
   * @throws ConfigError when it can't, with the memory that would do
   */
  plan(shape: readonly number[], part: ModelPart, limit: MemoryLimit): ExactPlan;
  /** Runs a batch picture by picture, in tiles where one doesn't fit. */
  run(x: Tensor, part: ModelPart, limit: MemoryLimit): Promise<Tensor>;
  dispose(): Promise<void>;
}

export interface MemoryLimit {
  /** Bytes that the process may take at its peak. */
  readonly maxMemory: number;
  /** Bytes of these that the caller takes for something else, default 0. */
  readonly reserved?: number | undefined;
}

export interface ModelPart {
  /** Tells programs of one shape apart. */
  readonly label: string;
  /** Name of the program's input. */
  readonly input: string;
  build(shape: readonly number[]): Program;
}

/** Planning takes a second for large pictures; shapes usually repeat. */
const MAX_PLANS = 16;

export function createBoundedRuns(engine: Engine, weights: Weights): BoundedRuns {
  // One program at a time: a second may not fit beside the first.
  const programs = createProgramCache(engine, "the model", 1);
  const runProgram: RunProgram = (key, build, inputs) => programs.run(key, build, weights, inputs);
  const plans = new Map<string, ExactPlan>();

  /** A plan depends on all of this, and so do the programs that it consists of. */
  const keyOf = (shape: readonly number[], { label }: ModelPart, { maxMemory, reserved = 0 }: MemoryLimit) =>
    `${label} ${shape.join("x")} ${maxMemory} ${reserved}`;

  function plan(shape: readonly number[], part: ModelPart, limit: MemoryLimit): ExactPlan {
    const { maxMemory, reserved = 0 } = limit;
    const { build } = part;
    const [count, ...size] = shape as [number, ...number[]];
    const key = keyOf(shape, part, limit);
    const known = plans.get(key);
    if (known !== undefined) return known;
    const { predictMemory } = engine;
    if (predictMemory === undefined) {
      throw new ConfigError(`maxMemory: ${engine.name} doesn't say how much memory a program takes`);
    }
    const made = planExactTiling(build([1, ...size]), {
      maxMemory,
      batch: count,
      reserved,
      predictMemory: (program) => predictMemory.call(engine, program),
    });
    if (plans.size >= MAX_PLANS) plans.clear();
    plans.set(key, made);
    return made;
  }

  return {
    plan,
    async run(x, part, limit) {
      const made = plan(x.shape, part, limit);
      const [count] = x.shape as [number, ...number[]];
      const label = keyOf(x.shape, part, limit);
      const runOne = (i: number) => runExact(made, x.slice([{ start: i, stop: i + 1 }]), runProgram, label);
      if (count === 1) return runOne(0);
      let joined: Tensor<"float32"> | undefined;
      for (let i = 0; i < count; i++) {
        const result = await runOne(i);
        joined ??= Tensor.zeros([count, ...result.shape.slice(1)]);
        joined.data.set(result.toFloat32(), i * sizeOf(result.shape));
      }
      return joined as Tensor;
    },
    dispose: programs.dispose,
  };
}
