/**
 * Evaluation protocols as data. Everything that changes a number stands here, drives the runners, is printed with each
 * result and stored in it: two numbers are comparable when the parts of their protocols that matter to the metric are
 * equal (compare-protocols.ts).
 */
import type { Rounding } from "@dcae/core";
import type { InceptionPipeline } from "../networks/inception-program.js";
import type { LpipsNorm, LpipsTrunk } from "../networks/lpips.js";

export interface Protocol {
  /** Name of the preset, or what the caller calls a variant. */
  readonly name: string;
  /** Which pictures: data set and split, in the words of whoever runs it. */
  readonly split: string;
  /**
   * How pictures become one size: `dm-crop` halves with the box filter, resizes once bicubically (a = -0.5, antialiased,
   * 8-bit, as Pillow) and cuts the center; `none` keeps pictures as they are.
   */
  readonly crop: "dm-crop" | "none";
  /** [height, width] behind the crop; null where pictures keep their size. */
  readonly size: readonly [height: number, width: number] | null;
  /** `pillow` reads files as the reference does (no EXIF turn, no color profile, alpha dropped), `viewer` as viewers show them. */
  readonly decoding: "pillow" | "viewer";
  /** How model output becomes 8 bits. All metrics see 8-bit pictures. */
  readonly rounding: Rounding;
  /** Input of the FID network, for FID, precision and recall. */
  readonly fidPipeline: InceptionPipeline;
  /** Input of the same network for the inception score. */
  readonly scorePipeline: InceptionPipeline;
  /** Parts of the inception score. */
  readonly scoreSplits: number | { readonly size: number };
  /** Seed of the inception score's shuffle; null keeps the order. */
  readonly scoreSeed: number | null;
  /** Whether SSIM averages the whole map (current libraries) or leaves out 5 pixels (older ones). */
  readonly ssimBorder: "whole" | "cropped";
  readonly lpipsTrunk: LpipsTrunk;
  readonly lpipsNorm: LpipsNorm;
  /** Neighbors for precision and recall. */
  readonly neighbors: number;
}

/** The split of a protocol in which nobody has said what the pictures are. */
export const NOT_STATED = "not stated";

const OFFICIAL: Protocol = {
  name: "dc-ae",
  split: NOT_STATED,
  crop: "dm-crop",
  size: null,
  decoding: "pillow",
  rounding: "truncate-half-up",
  fidPipeline: "pytorch-fid",
  scorePipeline: "tf1",
  scoreSplits: 10,
  scoreSeed: 2020,
  ssimBorder: "whole",
  lpipsTrunk: "alex",
  lpipsNorm: "official-evaluation",
  neighbors: 3,
};

/** Protocols by name. Sizes and splits are the caller's. */
export const PROTOCOLS = {
  /** The evaluation that the authors of DC-AE publish (evaluation.md section 1). */
  "dc-ae": OFFICIAL,
  /** ADM's evaluator: TensorFlow's pipeline for everything, inception score in consecutive parts of 5000. */
  adm: {
    ...OFFICIAL,
    name: "adm",
    crop: "none",
    fidPipeline: "tf1",
    scoreSplits: { size: 5000 },
    scoreSeed: null,
  },
} as const satisfies Record<string, Protocol>;

export type ProtocolName = keyof typeof PROTOCOLS;
