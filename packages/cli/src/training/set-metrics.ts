/** `--evaluate` of trainings: distances of sets of pictures, by the networks and references of evaluations. */
import { DcaeError, loadAutoencoder } from "@dcae/core";
import { errorMessage } from "@dcae/core/graph";
import { openSetMetrics, parseSetMetric } from "@dcae/eval";
import type { OpenSetMetrics } from "@dcae/train";
import { type Command, InvalidArgumentError } from "commander";
import type { CliIo } from "../cli-io.js";
import { addNetworkOptions, type NetworkFlags, networkOptions } from "../evaluation/evaluation-options.js";
import { type HubFlags, hubOptions } from "../options/model-options.js";
import type { TrainingEngineFlags } from "./training-options.js";

export interface SetMetricFlags extends NetworkFlags, Pick<HubFlags, "offline" | "cacheDir"> {
  readonly evaluate?: readonly string[];
}

/** @throws InvalidArgumentError, as all parsers of option values */
function parseMetrics(text: string, before: readonly string[] = []): string[] {
  try {
    parseSetMetric(text);
  } catch (error) {
    if (!(error instanceof DcaeError)) throw error;
    throw new InvalidArgumentError([error.message, error.hint].filter((part) => part !== undefined).join(". "));
  }
  return [...before, text];
}

/** @param originals whether the training's pictures have originals */
export function addSetMetricOptions(command: Command, originals: boolean): Command {
  const ofOriginals = "rfid and rfd:NETWORK (reconstructions to their originals), ";
  return addNetworkOptions(
    command.option(
      "--evaluate <metric...>",
      `distances to compute at each evaluation: ${originals ? ofOriginals : ""}fid=REFERENCE and fd:NETWORK=REFERENCE; a reference is a ` +
        "folder of pictures or an .npz of `dcae eval stats`, a network is clip, a Keras model for TensorFlow.js (PATH or PATH#LAYER), or an autoencoder, whose latents are the features; " +
        "the best model can go by one, as in --set best=fid",
      parseMetrics,
    ),
  );
}

type Flags = SetMetricFlags & Pick<TrainingEngineFlags, "threads">;

/** How a training opens its metrics: networks compute on its engine, autoencoders on the CPU with as many threads. */
export function setMetricsOpener(
  engine: Parameters<typeof openSetMetrics>[1]["engine"],
  originals: boolean,
  flags: Flags,
  io: CliIo,
): OpenSetMetrics {
  const { threads, offline, cacheDir } = flags;
  const hub = { ...(offline === undefined ? {} : { offline }), ...(cacheDir === undefined ? {} : { cacheDir }) };
  return (names, size) =>
    openSetMetrics(names, {
      engine,
      size,
      originals,
      weights: networkOptions(flags),
      loadEncoder: (source) =>
        loadAutoencoder(source, {
          ...hubOptions(hub, io),
          device: "cpu",
          ...(threads === undefined ? {} : { threads }),
        }),
      onMessage: (text) => io.note(text),
    });
}

/**
 * Opens the metrics and closes them, for `--dry-run`.
 *
 * @returns what is missing, and how to get it
 */
export async function missingSetMetrics(
  open: OpenSetMetrics,
  names: readonly string[],
  size: number,
): Promise<string[]> {
  try {
    await (await open(names, size)).close();
    return [];
  } catch (error) {
    if (!(error instanceof DcaeError)) throw error;
    return [[errorMessage(error), error.hint].filter((text) => text !== undefined).join(". ")];
  }
}
