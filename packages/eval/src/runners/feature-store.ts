/** Collects the rows that chunks bring: sums for distances, and the vectors themselves where a metric needs all of them. */
import type { Tensor } from "@dcae/core";
import type { VectorSet } from "../metrics/pairwise.js";
import { createFeatureAccumulator, type FeatureAccumulator } from "../statistics/feature-accumulator.js";

export interface FeatureStore {
  /** Adds rows of one kind. */
  add(feature: string, rows: Tensor): void;
  /** The sums of a kind that was asked for, once it had rows. */
  sums(feature: string): FeatureAccumulator | undefined;
  /** The vectors of a kind that was asked for, once it had rows. */
  vectors(feature: string): VectorSet | undefined;
}

export interface FeatureStoreOptions {
  /** Kinds whose mean and covariance are needed. */
  readonly sums: ReadonlySet<string>;
  /** Kinds whose vectors are needed. */
  readonly vectors: ReadonlySet<string>;
  /** Most rows of a kind. */
  readonly capacity: number;
}

export function createFeatureStore(options: FeatureStoreOptions): FeatureStore {
  const accumulators = new Map<string, FeatureAccumulator>();
  const buffers = new Map<string, { data: Float32Array; used: number; readonly dimensions: number }>();
  return {
    add(feature, rows) {
      const dimensions = rows.shape[1] as number;
      const values = rows.toFloat32();
      if (options.sums.has(feature)) {
        const accumulator = accumulators.get(feature) ?? createFeatureAccumulator(dimensions);
        accumulators.set(feature, accumulator);
        accumulator.add(values);
      }
      if (options.vectors.has(feature)) {
        // One allocation of the final size: growing would need twice the memory.
        const buffer = buffers.get(feature) ?? {
          data: new Float32Array(options.capacity * dimensions),
          used: 0,
          dimensions,
        };
        buffers.set(feature, buffer);
        buffer.data.set(values, buffer.used);
        buffer.used += values.length;
      }
    },
    sums: (feature) => accumulators.get(feature),
    vectors(feature) {
      const buffer = buffers.get(feature);
      return buffer && { data: buffer.data.subarray(0, buffer.used), dimensions: buffer.dimensions };
    },
  };
}
