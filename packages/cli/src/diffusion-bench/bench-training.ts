/**
 * What one training step of a diffusion model costs on given latents: forward, backward and AdamW, with arbitrary weights, in
 * the forms that `dcae diffusion train` takes.
 * Averages of the weights aren't kept, which published timings leave out too.
 */
import { totalmem } from "node:os";
import { EngineError, Tensor } from "@dcae/core";
import { countMacs, createRandom, sizeOf } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import {
  denoiserParameters,
  denoiserPreset,
  drawObjective,
  type LatentName,
  objectiveOf,
  type SizeName,
  trainingLoss,
} from "@dcae/diffusion";
import { benchmarkWeights, buildDenoiseProgram, dropLabels, latentShape, tokenCount } from "@dcae/diffusion/internal";
import { estimateMemory } from "@dcae/train/internal";
import { completeWeights, createTrainingState, gradientStep, stepProgram } from "@dcae/train/step";
import { formatBytes } from "../cli-io.js";

export interface TrainingBench {
  readonly size: SizeName;
  readonly latent: LatentName;
  readonly batch: number;
  readonly warmup: number;
  readonly runs: number;
  readonly signal: AbortSignal;
}

export interface StepMeasurement {
  readonly tokens: number;
  readonly parameters: number;
  /** 10^9 multiply-accumulates of one forward pass of one latent. */
  readonly gmacs: number;
  /** Seconds of every run of the batch. */
  readonly times: readonly number[];
}

/** @throws EngineError when the step needs more memory than the machine has */
export async function benchTraining(engine: Engine, bench: TrainingBench): Promise<StepMeasurement> {
  const { size, latent, batch, warmup, runs, signal } = bench;
  const { config, recipe } = denoiserPreset(size, latent);
  const objective = objectiveOf(recipe);
  const program = stepProgram(
    gradientStep(trainingLoss(config, objective, batch), () => true, { optimize: true }),
    { name: "denoiser", kind: "adamw", schedule: { kind: "constant", lr: 1e-6 } },
  );
  const memory = estimateMemory([program]);
  // The runtime's binding answers with a copy of everything that is updated.
  checkMemory(memory.total + memory.state / 2);
  const specs = denoiserParameters(config);
  const weights = completeWeights([program], benchmarkWeights(specs), 0);
  const state = await createTrainingState(engine, [program], weights);
  try {
    const loaded = await engine.load(program, weights, { state });
    try {
      const random = createRandom(0);
      const shape = latentShape(config, batch);
      const inputs = {
        latents: Tensor.float32(random.normal(new Float32Array(sizeOf(shape))), shape),
        labels: dropLabels(
          Array.from({ length: batch }, (_, i) => i),
          config,
          random,
        ),
        ...drawObjective(objective, random, shape),
      };
      const times: number[] = [];
      for (let run = -warmup; run < runs; run++) {
        signal.throwIfAborted();
        const start = performance.now();
        await loaded.run(inputs);
        if (run >= 0) times.push((performance.now() - start) / 1000);
      }
      return {
        tokens: tokenCount(config),
        parameters: specs.reduce((sum, spec) => sum + sizeOf(spec.shape), 0),
        gmacs: countMacs(buildDenoiseProgram(config, 1)) / 1e9,
        times,
      };
    } finally {
      await loaded.dispose();
    }
  } finally {
    await state.dispose();
  }
}

/** A machine that runs out of memory takes other programs with it. */
function checkMemory(bytes: number): void {
  if (bytes <= totalmem()) return;
  throw new EngineError(`the step needs about ${formatBytes(bytes)}, this machine has ${formatBytes(totalmem())}`);
}
