/** The options that choose how pictures are prepared and what they are called. */
import { PROTOCOLS, type Protocol, type ProtocolChoice, type ProtocolName, resolveProtocol } from "@dcae/eval";
import { type Command, Option } from "commander";
import { parseCount, parseSize, type Size } from "../options/parse-values.js";
import { rethrowAs } from "../rethrow-as.js";
import { UsageError } from "../usage-error.js";

export interface ProtocolFlags {
  readonly size?: Size;
  readonly limit?: number;
  readonly split?: string;
}

export interface ProtocolNameFlag {
  readonly protocol: ProtocolName;
}

/** Adds what every evaluation asks about its pictures. */
export function addProtocolOptions(command: Command): Command {
  return command
    .option("--size <n|WxH>", "scale and cut pictures to this size first, as the reference does", parseSize)
    .option("--limit <n>", "only the first pictures, by name", parseCount)
    .option("--split <text>", 'what the pictures are, as in "ImageNet val": part of the protocol, for comparisons');
}

/** Adds the choice of a protocol, for evaluations of sets. */
export function protocolOption(): Option {
  return new Option("--protocol <name>", "whose evaluation to follow: that of DC-AE's authors, or ADM's")
    .choices(Object.keys(PROTOCOLS))
    .default("dc-ae" satisfies ProtocolName);
}

/** @throws UsageError for a combination that makes no sense */
export function protocolOf(
  { size, split }: ProtocolFlags,
  choice: Omit<ProtocolChoice, "size" | "split"> = {},
): Protocol {
  return rethrowAs(UsageError, "", () =>
    resolveProtocol({
      ...choice,
      ...(size === undefined ? {} : { size, crop: "dm-crop" }),
      ...(split === undefined ? {} : { split }),
    }),
  );
}
