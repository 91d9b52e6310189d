/**
 * What a throughput run gives, as plain data: the docs site renders it, and two files can be compared. Times are given by their
 * median and spread.
 */
import type { RunTimes } from "@dcae/core/internal";
import type { ComputeDType, Device } from "@dcae/core/runtime";
import type { Machine } from "../results/evaluation-result.node.js";

export type BenchPart = "encode" | "decode";

/** One measurement: a direction of one model, at one size, on one device. */
export interface BenchCase {
  readonly model: string;
  readonly part: BenchPart;
  /** Side of the square pictures in pixels. */
  readonly size: number;
  readonly batch: number;
  readonly device: Device;
  readonly dtype: ComputeDType;
  /** CPU threads per operator. */
  readonly threads: number;
  /** Whether the engine rewrote the graph into a faster one (`optimize` of core's engines): "auto" left it to the engine. */
  readonly optimize: "auto" | boolean;
}

export interface BenchMeasurement {
  readonly times: RunTimes;
  /** Building, optimizing and packing the program, in seconds. */
  readonly loadSeconds: number;
  /** Multiply-accumulates of one run, as papers count them: convolutions and matrix products of the model as it is written. */
  readonly macs: number;
  /** Largest resident memory of the process that ran this case alone, in MiB; it includes the weights and Node itself. */
  readonly peakRssMiB: number;
  /** Picture shape and latent shape. */
  readonly shapes: { readonly input: readonly number[]; readonly output: readonly number[] };
}

export interface BenchEntry extends BenchCase {
  /** Undefined where the case failed. */
  readonly measurement?: BenchMeasurement;
  /** Why it failed, one line. */
  readonly problem?: string;
  /**
   * Twice the MACs over the median time, in 10^9 per second: the rate of a direct computation that takes as long. MACs are
   * those of the plain graph, so rewrites that save multiplications (Winograd) raise it above what the hardware does.
   */
  readonly gflops?: number;
  /** `gflops` as a share of the machine's rate in float32 matrix products; rewrites or float16 can bring it above 1. */
  readonly shareOfPeak?: number;
  /** Where `optimize` isn't false or int8, and the same case ran plain in this run: the median of the plain graph (in float32) over this one. */
  readonly speedup?: number;
}

/** What a smaller type costs a model: means over pictures, in decibels. */
export interface BenchQuality {
  readonly model: string;
  readonly dtype: Exclude<ComputeDType, "float32" | "float16">;
  /** False for random weights: how close the types are is then no measure of what a trained model loses. */
  readonly trained: boolean;
  readonly pictures: number;
  /** What the pictures are, as in "drawn scenes"; absent where the caller didn't say. */
  readonly source?: string;
  /** Side of the pictures in pixels. */
  readonly size: number;
  /** Of reconstructions against their pictures. */
  readonly psnr: number;
  /** The same in float32. */
  readonly psnrFloat32: number;
  /** Of reconstructions against those in float32. */
  readonly psnrBetween: number;
}

/** Rate of large float32 matrix products in one setting. */
export interface BenchPeak {
  readonly device: Device;
  readonly threads: number;
  readonly gflops: number;
}

/** Measured throughput as plain data; `dcae bench autoencoder -o` writes it. */
export interface BenchResult {
  readonly formatVersion: 1;
  readonly kind: "autoencoder-throughput";
  /** ISO 8601. */
  readonly date: string;
  readonly machine: Machine;
  readonly runtime: string;
  readonly warmup: number;
  readonly iterations: number;
  /** What the times contain, in words. */
  readonly conditions: readonly string[];
  readonly peaks: readonly BenchPeak[];
  readonly entries: readonly BenchEntry[];
  /** Absent where everything was computed in float32 or float16. */
  readonly quality?: readonly BenchQuality[];
}
