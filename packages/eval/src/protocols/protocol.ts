/**
 * Evaluation protocols as data. Everything that changes a number stands here, drives the runners, is printed with each
 * result and stored in it: two numbers are comparable when the parts of their protocols that matter to the metric are
 * equal (results/compare-results.ts). A protocol comes from a preset's name and what the caller changes, or from a file.
 */

import { ConfigError } from "@dcae/core";
import type { Rounding } from "@dcae/core/image";
import { plural } from "@dcae/core/internal";
import type { LpipsNorm, LpipsTrunk } from "@dcae/core/nets";
import { type Field, finite, list, nullable, object, oneOf, text, whole } from "../files/json-fields.js";
import type { InceptionPipeline } from "../networks/inception.js";

/** How numbers are measured: everything that decides whether two of them may stand in one table. */
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

const scoreSplits: Field<Protocol["scoreSplits"]> = (value, name) =>
  typeof value === "number" ? whole(1)(value, name) : object<{ size: number }>({ size: whole(1) }, {})(value, name);

const size: Field<readonly [number, number]> = (value, name) =>
  list(whole(1), 2)(value, name) as unknown as readonly [number, number];

export const protocolFields: Field<Protocol> = object<Protocol>(
  {
    name: text,
    split: text,
    crop: oneOf("dm-crop", "none"),
    size: nullable(size),
    decoding: oneOf("pillow", "viewer"),
    rounding: oneOf("truncate-half-up", "half-even"),
    fidPipeline: oneOf("pytorch-fid", "tf1"),
    scorePipeline: oneOf("pytorch-fid", "tf1"),
    scoreSplits,
    scoreSeed: nullable(finite),
    ssimBorder: oneOf("whole", "cropped"),
    lpipsTrunk: oneOf("alex", "vgg"),
    lpipsNorm: oneOf("official-evaluation", "lpips"),
    neighbors: whole(1),
  },
  {},
);

/** A protocol by its name, with changes. */
export interface ProtocolChoice extends Partial<Omit<Protocol, "name" | "size">> {
  /** A preset of PROTOCOLS (default "dc-ae"). */
  readonly preset?: string;
  /** Side of a square, or [height, width]. */
  readonly size?: number | readonly [height: number, width: number];
}

/**
 * The preset with changes. A change of anything but split and size is shown in the name.
 *
 * @throws ConfigError for an unknown preset, or a size that has no effect or is missing
 */
export function resolveProtocol(choice: ProtocolChoice = {}): Protocol {
  const { preset = "dc-ae", size, split, ...changes } = choice;
  if (!Object.hasOwn(PROTOCOLS, preset)) {
    throw new ConfigError(`protocol: "${preset}" is unknown`, { hint: `Use ${Object.keys(PROTOCOLS).join(" or ")}.` });
  }
  const base: Protocol = PROTOCOLS[preset as keyof typeof PROTOCOLS];
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  const changed = given.filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(base[key as keyof Protocol]));
  const resolved: Protocol = {
    ...base,
    ...Object.fromEntries(given),
    name: changed.length === 0 ? base.name : `${base.name} with other ${changed.map(([key]) => key).join(", ")}`,
    // Without a size there is nothing to crop to.
    crop: choice.crop ?? (size === undefined ? "none" : base.crop),
    split: split ?? base.split,
    size: size === undefined ? base.size : typeof size === "number" ? [size, size] : [...size],
  };
  checkSize(resolved);
  return resolved;
}

function checkSize({ crop, size }: Protocol): void {
  if (size === null) {
    if (crop === "none") return;
    throw new ConfigError(`crop: ${crop} needs a size`, { hint: "Give the size, or choose crop none." });
  }
  if (!size.every((side) => Number.isSafeInteger(side) && side >= 1)) {
    throw new ConfigError(`size: ${size.join("x")} isn't made of positive integers`);
  }
  if (crop === "none") {
    throw new ConfigError(`size: ${size.join("x")} has no effect on pictures that keep their size`, {
      hint: "Choose crop dm-crop, or leave the size out.",
    });
  }
}

/**
 * The protocol in lines of "what: value", for terminals and reports.
 *
 * @param kind leaves out what doesn't matter to this kind of evaluation
 */
export function describeProtocol(
  protocol: Protocol,
  kind: "reconstruction" | "generation" | "statistics" | "all" = "all",
): [what: string, value: string][] {
  const { size, scoreSplits, scoreSeed } = protocol;
  const pixels = size === null ? "as they are" : `${size[1]}x${size[0]}`;
  const crop =
    protocol.crop === "dm-crop"
      ? "dm-crop (box halving, one antialiased 8-bit bicubic resize with a = -0.5, center cut)"
      : "none";
  const splits = typeof scoreSplits === "number" ? plural(scoreSplits, "part") : `parts of ${scoreSplits.size} images`;
  const shuffle = scoreSeed === null ? "in order" : `seed ${scoreSeed}`;
  const ofPairs: [string, string][] = [
    ["rounding to 8 bits", protocol.rounding],
    ["SSIM border", protocol.ssimBorder],
    ["LPIPS", `${protocol.lpipsTrunk}, norm of ${protocol.lpipsNorm}`],
  ];
  const ofSets: [string, string][] = [
    ["inception score", `${protocol.scorePipeline}, ${splits}, ${shuffle}`],
    ["neighbors", `${protocol.neighbors} (precision and recall)`],
  ];
  return [
    ["protocol", protocol.name],
    ["split", protocol.split],
    ["crop", crop],
    ["size", pixels],
    ["decoding", protocol.decoding],
    ["FID input", protocol.fidPipeline],
    ...(kind === "reconstruction" || kind === "all" ? ofPairs : []),
    ...(kind === "generation" || kind === "all" ? ofSets : []),
  ];
}
