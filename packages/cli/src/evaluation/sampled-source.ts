/**
 * The samples of a diffusion model as pictures of an evaluation, made while they are read. Classes are uniform random ones and
 * picture i gets its noise from (seed, i), as in the published evaluations, so that a run goes on where it was stopped.
 */
import { tensorToImages } from "@dcae/core";
import { weightsFingerprint } from "@dcae/core/checkpoint";
import { createRandom } from "@dcae/core/graph";
import type { ClassConditionalPipeline, SampleOptions } from "@dcae/diffusion";
import { generatedSource, type PictureSource, type Protocol } from "@dcae/eval";
import { pipelineLabel } from "../sampling/choose-labels.js";

export interface SampledSourceOptions {
  readonly count: number;
  /** Classes to draw from; null for a model without classes. */
  readonly classes: readonly number[] | null;
  readonly sampling: SampleOptions;
  readonly batchSize: number;
  readonly protocol: Pick<Protocol, "rounding">;
  /** What else decides the pictures: device and precision. */
  readonly settings: readonly string[];
  readonly signal: AbortSignal;
}

/** The classes of all pictures, by the seed. */
export function drawClasses(count: number, classes: readonly number[] | null, seed: number | bigint): number[] {
  if (classes === null) return new Array<number>(count).fill(0);
  const draws = createRandom(seed, "classes").uniform(new Float32Array(count), 0, classes.length);
  return Array.from(draws, (draw) => classes[Math.min(Math.floor(draw), classes.length - 1)] as number);
}

/** The pipeline stays the caller's. */
export async function sampledSource(
  pipeline: ClassConditionalPipeline,
  { count, classes, sampling, batchSize, protocol, settings, signal }: SampledSourceOptions,
): Promise<PictureSource> {
  const { seed = 0 } = sampling;
  const labels = drawClasses(count, classes, seed);
  const { weights, decoder } = pipeline;
  const fingerprints = [await weightsFingerprint(weights)];
  if (decoder?.weights !== undefined) fingerprints.push(await weightsFingerprint(decoder.weights));
  const facts = { ...sampling, seed: String(seed), count, classes, batchSize, rounding: protocol.rounding, settings };

  async function* generate(start: number) {
    // Whole batches as from the beginning: some samplers couple the pictures of a batch.
    for (let first = start - (start % batchSize); first < count; first += batchSize) {
      const part = labels.slice(first, first + batchSize).map((label) => pipelineLabel(pipeline.description, label));
      const latents = await pipeline.sampleLatents({ ...sampling, labels: part, offset: first, batchSize, signal });
      for (const i of part.keys()) {
        if (first + i < start) continue;
        // One by one, which bounds the memory.
        yield tensorToImages(await pipeline.decode(latents.slice([{ start: i, stop: i + 1 }])), protocol);
      }
    }
  }

  return generatedSource({
    name: `samples of ${pipeline.name}`,
    count,
    fingerprint: [...fingerprints, JSON.stringify(facts)].join(" "),
    generate,
  });
}
