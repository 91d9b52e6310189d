/**
 * Distillation: a student whose latents are those of another autoencoder, its teacher, which is frozen.
 *
 * The student's encoder is drawn to the teacher's latents. Its decoder sees the teacher's latents while it trains, so that it learns
 * that space and not what the student's own encoder makes of it, and is drawn to the pictures and, if wanted, to the teacher's decodes.
 * An encoder that trains under a frozen decoder also gets the gradient of the reconstruction. The paper has no recipe of it: the
 * choices are this project's.
 */
import { mul, reduceMean, type Scope, slice, sub, type Value } from "@dcae/core/graph";
import { type DcAeConfig, dcAeDecode, dcAeEncode, familyOf, type ModelDescription } from "@dcae/core/models";
import { overlayScope } from "../step/training-rule.js";
import { l1Loss, type ReconstructionLossOptions } from "./reconstruction.js";

/** Where the parameters of the teacher are: below `teacher`. */
export const TEACHER_SCOPE = "teacher";

/** Another autoencoder as the source of latents. */
export interface Teacher {
  /** Of any family. */
  readonly model: ModelDescription;
  /** The student's latents are the teacher's times this. */
  readonly latentScale: number;
  /** The student's latents times this have a root mean square of about 1: the unit of the loss on latents. */
  readonly latentUnit: number;
  /** Weight of the mean square of (student - teacher) latents in that unit, where the encoder trains. */
  readonly latentWeight: number;
  /** Weight of L1 between the student's and the teacher's decodes; 0 leaves these out. */
  readonly decodesWeight: number;
}

export interface DistillationOptions {
  readonly teacher: Teacher;
  readonly student: DcAeConfig;
  /** Which halves of the student train. */
  readonly trains: { readonly encoder: boolean; readonly decoder: boolean };
}

/** A frozen network: nothing in it behaves as in training. */
const frozen = (scope: Scope) => overlayScope(scope, { training: () => false }).at(TEACHER_SCOPE);

/** The teacher's most likely latents [N, L, h, w] of pictures x. */
export function teacherLatent(scope: Scope, x: Value, { model }: Pick<Teacher, "model">): Value {
  const family = familyOf(model);
  const encoded = family.encode(frozen(scope), x, model.config);
  return family.latent.output === "moments" ? slice(encoded, 1, 0, model.config.latentChannels) : encoded;
}

function oncePerBatch(compute: (scope: Scope, x: Value) => Value): typeof compute {
  const known = new WeakMap<Value, Value>();
  return (scope, x) => {
    const value = known.get(x) ?? compute(scope, x);
    known.set(x, value);
    return value;
  };
}

/** The student's pass from pictures to reconstructions, and the losses that the teacher adds. */
export function distillation({
  teacher,
  student,
  trains,
}: DistillationOptions): Required<Pick<ReconstructionLossOptions, "reconstruct" | "terms">> {
  // Both functions are asked for the same batch: each latent is computed once for it.
  const ofTeacher = oncePerBatch((scope, x) => teacherLatent(scope, x, teacher));
  const ofStudent = oncePerBatch((scope, x) => dcAeEncode(scope, x, student));
  /** Scaled as the student has them. */
  const target = (scope: Scope, x: Value) => {
    const latent = ofTeacher(scope, x);
    return teacher.latentScale === 1 ? latent : mul(latent, teacher.latentScale);
  };
  return {
    reconstruct: (scope, x) => dcAeDecode(scope, trains.decoder ? target(scope, x) : ofStudent(scope, x), student),
    terms(scope, x, y) {
      const { model, latentUnit, latentWeight, decodesWeight } = teacher;
      const terms: { name: string; value: Value; weight: number }[] = [];
      if (trains.encoder) {
        const error = mul(sub(ofStudent(scope, x), target(scope, x)), latentUnit);
        terms.push({ name: "latent", value: reduceMean(mul(error, error)), weight: latentWeight });
      }
      if (decodesWeight > 0) {
        const decoded = familyOf(model).decode(frozen(scope), ofTeacher(scope, x), model.config);
        terms.push({ name: "decodes", value: l1Loss(decoded, y), weight: decodesWeight });
      }
      return terms;
    },
  };
}
