/**
 * One forward pass of a denoiser on an engine, with a program per batch size and channel count.
 */
import { ConfigError, ShapeError } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import type { Tensor } from "@dcae/core/graph";
import { createLoadedCache } from "@dcae/core/internal";
import type { Engine, LoadedProgram } from "@dcae/core/runtime";
import { buildDenoiseProgram } from "../denoisers/denoise.js";
import { type DenoiserConfig, labelRows } from "../denoisers/denoiser-config.js";
import type { ForwardPass } from "../samplers/guidance.js";

/** Programs that stay loaded: guided (twice the batch) and unguided passes alternate under a guidance interval. */
const MAX_PROGRAMS = 2;

export interface LoadedDenoiser {
  readonly forward: ForwardPass;
  /** Frees the programs after the calls that wait. */
  dispose(): Promise<void>;
}

/** @throws ShapeError when x, t and labels have different batch sizes, ConfigError for labels that aren't classes */
export function loadDenoiser(engine: Engine, weights: Weights, config: DenoiserConfig): LoadedDenoiser {
  return createDenoiser(config, (batch, channels) =>
    engine.load(buildDenoiseProgram(config, batch, channels), weights),
  );
}

/**
 * The same with programs of another making, as those that read a state in training.
 *
 * @param load gives the loaded `buildDenoiseProgram` of a batch size and channel count
 */
export function createDenoiser(
  config: DenoiserConfig,
  load: (batch: number, channels: number) => Promise<LoadedProgram>,
): LoadedDenoiser {
  const programs = createLoadedCache<LoadedProgram>({
    name: "the denoiser",
    limit: MAX_PROGRAMS,
    free: (program) => program.dispose(),
  });
  return {
    async forward(x, t, labels) {
      const [batch, channels] = x.shape as readonly [number, number];
      if (t.shape.join() !== String(batch) || (labels !== undefined && labels.shape.join() !== String(batch))) {
        throw new ShapeError(`denoise: x has ${batch} samples, t is [${t.shape}] and labels [${labels?.shape ?? ""}]`);
      }
      checkLabels(labels, config);
      const inputs = { x, t, ...(labels === undefined ? {} : { labels }) };
      const { y } = await programs.use(
        `${batch} ${channels}`,
        () => load(batch, channels),
        (program) => program.run(inputs),
      );
      return y as Tensor;
    },
    dispose: programs.dispose,
  };
}

/** What lies outside of the table of labels would read other memory, or fail without saying why. */
function checkLabels(labels: Tensor | undefined, config: DenoiserConfig): void {
  const rows = labelRows(config);
  if ((rows === 0) !== (labels === undefined)) {
    throw new ConfigError(
      `denoise: the model has ${config.numClasses} classes and ${rows === 0 ? "takes no" : "needs"} labels`,
    );
  }
  const wrong = labels === undefined ? undefined : Array.from(labels.toFloat32()).find((y) => !(y >= 0 && y < rows));
  if (wrong !== undefined) throw new ConfigError(`denoise: the label ${wrong} isn't one of 0 to ${rows - 1}`);
}
