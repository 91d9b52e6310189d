/** A loaded autoencoder as what an evaluation judges, with the options that change its pictures. */
import { type Reconstructor, weightsFingerprint } from "@dcae/eval";
import type { CliIo } from "../cli-io.js";
import { type CodecFlags, createCodec } from "../codec.js";
import type { EngineFlags, Model } from "../options/engine-options.js";

export type ReconstructorFlags = Pick<CodecFlags, "latentChannels" | "tiled"> &
  Pick<EngineFlags, "dtype" | "optimize" | "calibration"> & { readonly model: string };

/** The model stays the caller's. */
export async function modelReconstructor(model: Model, flags: ReconstructorFlags, io: CliIo): Promise<Reconstructor> {
  const codec = createCodec(model, flags, io.signal);
  const { latentChannels, tiled, dtype, optimize, calibration } = flags;
  const settings = [
    model.engine.name,
    dtype,
    ...(calibration === undefined ? [] : [`calibrated on ${calibration.join(" ")}`]),
    ...(optimize === true ? ["optimized graph"] : []),
    ...(tiled === true ? ["tiled"] : []),
    ...(latentChannels === undefined ? [] : [`${latentChannels} latent channels`]),
  ];
  io.progress.show({ label: "reading weights", done: 0, total: 1, detail: model.name });
  return {
    // As the user calls it: the path behind a name says less.
    name: flags.model,
    fingerprint: await weightsFingerprint(model.weights),
    engine: settings.join(", "),
    multiple: model.compression,
    async reconstruct(pictures) {
      const latent = await codec.encode(pictures, []);
      return { pictures: await codec.decode(latent), latent };
    },
  };
}
