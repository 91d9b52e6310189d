/**
 * Which parameters each of the three phases trains, as rules on official names (training.md section 2.1).
 *
 * Phase 1: everything. Phase 2: the middle (encoder head, decoder input, and the deepest stages of both halves). Phase 3: the
 * decoder's head (and its shallowest stages with blocks).
 */
import { ConfigError } from "@dcae/core/graph";
import type { DcAeConfig } from "@dcae/core/models";
import type { TrainingRule } from "../step/index.js";

export type Phase = 1 | 2 | 3;

export interface PhaseParameterOptions {
  /** Phase 2: deepest stages of each half that train (0 is the narrow set, 1 the default). */
  readonly stagesEachSide?: number;
  /** Phase 3: shallowest non-empty decoder stages that train (0 is the narrow set, 1 the default). */
  readonly decoderStages?: number;
  /** Replaces the rule: names that start with one of these train. */
  readonly prefixes?: readonly string[] | undefined;
}

function count(value: number, limit: number, key: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= limit) return value;
  throw new ConfigError(`${key}: must be an integer in 0..${limit}, got ${value}`);
}

/** Numbers of the stages with blocks, shallowest first. */
function stagesWithBlocks(depthList: readonly number[]): number[] {
  return [...depthList.keys()].filter((stage) => (depthList[stage] as number) > 0);
}

/** Beginnings of the names that train in `phase`; "" is everything. */
export function phasePrefixes(phase: Phase, config: DcAeConfig, options: PhaseParameterOptions = {}): string[] {
  const { stagesEachSide = 1, decoderStages = 1, prefixes } = options;
  if (prefixes !== undefined) return [...prefixes];
  const [encoder, decoder] = [config.encoder, config.decoder].map(({ depthList }) => stagesWithBlocks(depthList)) as [
    number[],
    number[],
  ];
  if (phase === 1) return [""];
  if (phase === 2) {
    const deepest = (half: string, stages: readonly number[]) =>
      stages
        .slice(stages.length - count(stagesEachSide, stages.length, "phase2.stagesEachSide"))
        .map((stage) => `${half}.stages.${stage}.`);
    return [
      "encoder.project_out.",
      "decoder.project_in.",
      ...deepest("encoder", encoder),
      ...deepest("decoder", decoder),
    ];
  }
  const shallowest = decoder.slice(0, count(decoderStages, decoder.length, "phase3.decoderStages"));
  return ["decoder.project_out.", ...shallowest.map((stage) => `decoder.stages.${stage}.`)];
}

/** The rule of a list of beginnings. */
export function startsWithAny(prefixes: readonly string[]): TrainingRule {
  return (name) => prefixes.some((prefix) => name.startsWith(prefix));
}

/** Name of the last convolution's weight, which the adaptive weight looks at (training.md section 4). */
export function lastLayerName({ decoder }: DcAeConfig): string {
  const position = Number(decoder.outNorm !== null) + Number(decoder.outAct !== null);
  const upsamples = decoder.depthList[0] === 0;
  return `decoder.project_out.op_list.${position}.conv.${upsamples ? "conv." : ""}weight`;
}
