/** A protocol from a preset's name and what the caller changes. */
import { ConfigError } from "@dcae/core";
import { PROTOCOLS, type Protocol } from "./protocol.js";

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
  const splits = typeof scoreSplits === "number" ? `${scoreSplits} parts` : `parts of ${scoreSplits.size} images`;
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
