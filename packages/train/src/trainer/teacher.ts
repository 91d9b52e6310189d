/** The teacher of a distillation: what a configuration says of it, its weights, and the halves that a student takes over as they are. */
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import { ConfigError } from "@dcae/core/graph";
import { type OpenOptions, openCheckpoint } from "@dcae/core/internal";
import {
  compressionOf,
  hasPart,
  type LatentScaling,
  MODEL_PARTS,
  type ModelDescription,
  type ModelPartName,
  modelParameters,
  readModelConfig,
} from "@dcae/core/models";
import { placeOfCheckpoint, type TrainingConfig } from "../configs/schema.js";
import { TEACHER_SCOPE, type Teacher } from "../phases/distillation.js";
import { trainedHalves } from "./autoencoder-stages.js";
import { type DcAeDescription, describeModel } from "./phase-start.js";

type WithTeacher = Pick<TrainingConfig, "teacher" | "model" | "init" | "phases">;

/**
 * What a configuration's teacher is; null where it has none.
 *
 * @throws ConfigError when its latents aren't of the student's form, it lacks a half, or a half of the student would be left untrained
 */
export function describeTeacher(config: WithTeacher): Teacher | null {
  if (config.teacher === null) return null;
  const { latentWeight, decodesWeight, scalingFactor, config: file } = config.teacher;
  const [model, student] = [readModelConfig(file, "teacher.config"), describeModel(config)];
  checkParts(model, decodesWeight > 0);
  checkLatents(model, student);
  if (scalingFactor !== undefined && model.scalingFactor === null) {
    throw new ConfigError("teacher.scalingFactor: has no meaning where the teacher has no scaling factor itself");
  }
  const own = scalingFactor ?? model.scalingFactor;
  const latentScale = own === null || model.scalingFactor === null ? 1 : model.scalingFactor / own;
  const teacher = { model, latentScale, latentUnit: own ?? 1, latentWeight, decodesWeight };
  checkTraining(config, teacher, student);
  return teacher;
}

function checkParts(model: ModelDescription, decodes: boolean): void {
  if (!hasPart(model, "encoder")) {
    throw new ConfigError("teacher: has no encoder: there are no latents to learn from");
  }
  if (decodes && !hasPart(model, "decoder")) {
    throw new ConfigError("teacher.decodesWeight: the teacher has no decoder", { hint: "Set it to 0." });
  }
}

function checkLatents(teacher: ModelDescription, student: DcAeDescription): void {
  const formOf = (model: ModelDescription) => `${model.config.latentChannels} channels at 1/${compressionOf(model)}`;
  const [there, here] = [formOf(teacher), formOf(student)];
  if (there === here) return;
  throw new ConfigError(`teacher: has latents of ${there}, the student ${here}`);
}

/** A half that nobody trains and that isn't the teacher's is noise. */
function checkTraining({ init, phases }: WithTeacher, teacher: Teacher, student: DcAeDescription): void {
  if (init !== null) return;
  const same = sharedHalves(teacher, student);
  const untrained = MODEL_PARTS.find(
    (part) => !same.includes(part) && !phases.some((phase) => trainedHalves(phase, student.config)[part]),
  );
  if (untrained === undefined) return;
  throw new ConfigError(`teacher: the student's ${untrained} isn't the teacher's, and no phase trains it`, {
    hint: `Let a phase train "${untrained}", or name a checkpoint that has one with \`init\`.`,
  });
}

/** The halves that teacher and student have in common: the same network, for the same latents. */
export function sharedHalves({ model, latentScale }: Teacher, student: DcAeDescription): ModelPartName[] {
  if (model.kind !== "dc-ae" || latentScale !== 1) return [];
  const half = (description: DcAeDescription, part: ModelPartName) => {
    const { encoder, decoder, ...both } = description.config;
    return JSON.stringify({ ...both, half: { encoder, decoder }[part] });
  };
  return MODEL_PARTS.filter((part) => half(model as DcAeDescription, part) === half(student, part));
}

/** The factors of the student's latents. */
export function studentScaling({ model, latentScale, latentUnit }: Teacher): LatentScaling {
  return {
    scalingFactor: model.scalingFactor === null ? null : latentUnit,
    shiftFactor: model.shiftFactor === null ? null : model.shiftFactor * latentScale,
  };
}

/** A teacher with its weights. */
export interface OpenTeacher {
  readonly teacher: Teacher;
  /** As a program of training names them. */
  readonly weights: Weights;
  /** Those of the halves that the student has in common with it, under the student's names. */
  readonly shared: ReadonlyMap<string, WeightEntry>;
  readonly name: string;
}

/**
 * Opens the weights of a configuration's teacher. Close them.
 *
 * @throws CheckpointError, ConfigError when they aren't those of the model that the configuration describes
 */
export async function openTeacher(config: WithTeacher, open: OpenOptions = {}): Promise<OpenTeacher | null> {
  const teacher = describeTeacher(config);
  if (teacher === null || config.teacher === null) return null;
  const { init } = config.teacher;
  const { model: name, ...place } = placeOfCheckpoint(init);
  const { weights } = await openCheckpoint(name, { ...open, ...place });
  const wrong = modelParameters(teacher.model).find(
    (spec) => weights.entries.get(spec.name)?.shape.join() !== spec.shape.join(),
  );
  if (wrong !== undefined) {
    await weights.close();
    throw new ConfigError(`teacher: ${name} is another model than teacher.config describes: "${wrong.name}" differs`);
  }
  const prefixed = [...weights.entries].map(([key, entry]): [string, WeightEntry] => {
    const below = `${TEACHER_SCOPE}.${key}`;
    return [below, { ...entry, name: below }];
  });
  const halves = sharedHalves(teacher, describeModel(config));
  const shared = [...weights.entries].filter(([key]) => halves.some((part) => key.startsWith(`${part}.`)));
  return { teacher, weights: { ...weights, entries: new Map(prefixed) }, shared: new Map(shared), name };
}
