/**
 * Which parameters a phase trains: by the rules of the three phases (training.md section 2.1), or by names that its configuration gives.
 *
 * Phase 1: everything. Phase 2: the middle (encoder head, decoder input, and the deepest stages of both halves). Phase 3: the
 * decoder's head (and its shallowest stages with blocks).
 */
import { ConfigError } from "@dcae/core/graph";
import { type DcAeConfig, modelParameters } from "@dcae/core/models";
import type { TrainingPhase } from "../configs/schema.js";
import { namePatterns, startsWithAny, type TrainingRule } from "../step/training-rule.js";

/** The phases of the paper: 1 trains everything, 2 the middle at high resolution, 3 the decoder's head with a GAN. */
export type Phase = 1 | 2 | 3;

/** Changes of what trains in a phase. */
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

type Trains = Pick<TrainingPhase, "trains">;

/** What of the model trains, for readers; "*" is everything. */
export function trainingPatterns({ trains }: Trains, model: DcAeConfig): string[] {
  if (trains.kind === "names") return [...trains.names];
  return phasePrefixes(trains.phase, model, trains).map((prefix) => prefix.replace(/\.$/, "") || "*");
}

/**
 * What of the model trains.
 *
 * @throws ConfigError for a pattern that no learnable parameter matches
 */
export function trainingRule({ trains }: Trains, model: DcAeConfig): TrainingRule {
  if (trains.kind === "phase") return startsWithAny(phasePrefixes(trains.phase, model, trains));
  const names = modelParameters({ kind: "dc-ae", config: model }).flatMap(({ name, trainable }) =>
    trainable ? [name] : [],
  );
  for (const pattern of trains.names) {
    if (names.some(namePatterns([pattern]))) continue;
    const places = [...new Set(names.map(placeOf))];
    throw new ConfigError(`trains: "${pattern}" matches no parameter of the model`, {
      hint: `Its places are ${places.join(", ")}; "*" stands for anything.`,
    });
  }
  return namePatterns(trains.names);
}

/** The place a parameter belongs to: `decoder.stages.1`, `encoder.project_in`. */
export function placeOf(name: string): string {
  const parts = name.split(".");
  return parts.slice(0, parts[1] === "stages" ? 3 : 2).join(".");
}

/** Name of the last convolution's weight, which the adaptive weight looks at (training.md section 4). */
export function lastLayerName({ decoder }: DcAeConfig): string {
  const position = Number(decoder.outNorm !== null) + Number(decoder.outAct !== null);
  const upsamples = decoder.depthList[0] === 0;
  return `decoder.project_out.op_list.${position}.conv.${upsamples ? "conv." : ""}weight`;
}
