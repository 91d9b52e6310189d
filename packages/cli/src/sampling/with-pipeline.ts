/** Loads a diffusion model with the autoencoder that decodes its latents. */
import type { Form } from "@dcae/core/runtime";
import { ClassConditionalPipeline } from "@dcae/diffusion";
import { denoiserSource } from "@dcae/diffusion/internal";
import type { CliIo } from "../cli-io.js";
import { unlessInterrupted } from "../interrupted.js";
import { type DenoiserFlags, denoiserOptions } from "../options/denoiser-options.js";
import { type EngineFlags, parseForm } from "../options/engine-options.js";
import { modelSource } from "../options/model-options.js";
import type { SamplingFlags } from "../options/sampling-options.js";

export type PipelineFlags = DenoiserFlags &
  EngineFlags &
  Pick<SamplingFlags, "autoencoder" | "scalingFactor" | "shiftFactor">;

/** @param latentsOnly leaves the autoencoder out */
async function openPipeline(
  form: Form,
  flags: PipelineFlags,
  latentsOnly: boolean,
  io: CliIo,
): Promise<ClassConditionalPipeline> {
  const { device, threads, autoencoder, scalingFactor, shiftFactor } = flags;
  io.progress.show({ label: "loading", done: 0, total: 1, detail: flags.model });
  const options = {
    ...(await denoiserOptions(flags, io)),
    device,
    form,
    ...(threads === undefined ? {} : { threads }),
    autoencoder: latentsOnly ? null : autoencoder === undefined ? undefined : await modelSource(autoencoder, {}),
    scalingFactor,
    shiftFactor,
  };
  const source = await denoiserSource(flags.model);
  return unlessInterrupted(ClassConditionalPipeline.fromPretrained(source, options), io.signal);
}

/** Loads a pipeline, lets `work` use it, and frees it. */
export async function withPipeline<T>(
  flags: PipelineFlags,
  latentsOnly: boolean,
  io: CliIo,
  work: (pipeline: ClassConditionalPipeline, form: Form) => Promise<T>,
): Promise<T> {
  const form = parseForm(flags);
  const pipeline = await openPipeline(form, flags, latentsOnly, io);
  try {
    return await work(pipeline, form);
  } finally {
    io.progress.clear();
    // After an interruption there may be a computation that this would wait for.
    if (!io.signal.aborted) await pipeline.dispose();
  }
}
