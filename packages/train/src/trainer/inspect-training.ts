/** What a training needs beside its settings: what of it is there and can be read, and what is missing. Nothing is downloaded. */

import { DcaeError, errorMessage } from "@dcae/core/graph";
import { BUNDLED_MODEL, plural } from "@dcae/core/internal";
import { placeOfCheckpoint, type TrainingConfig } from "../configs/schema.js";
import { createPictureLoader } from "../data/picture-loader.js";
import { describeUnreadable, minSideOf, openSources, validationSources } from "./open-data.js";
import { openPerceptual, wantsPerceptual } from "./open-perceptual.js";
import { describeModel, exists, openStart } from "./phase-start.js";
import { openTeacher } from "./teacher.js";

/** What a training needs, and whether it is there. */
export interface TrainingNeeds {
  /** What is there, and what couldn't be read of it. */
  readonly found: readonly string[];
  /** What has to be there before the training can begin, and how to get it. */
  readonly missing: readonly string[];
  /** What wasn't looked at. */
  readonly assumed: readonly string[];
}

/** Beyond this, a source of scenes has no end. */
const ENDLESS = 2 ** 30;

function countOf(count: number, areScenes: boolean): string {
  const what = areScenes ? "drawn scene" : "picture";
  return count > ENDLESS ? `${what}s without end` : plural(count, what);
}

/**
 * Opens the pictures and reads the first ones, the weights of the perceptual loss, and a checkpoint to start from that is on disk.
 *
 * @throws DataError, CheckpointError, ConfigError for what is there and can't be used
 */
export async function inspectTraining(config: TrainingConfig): Promise<TrainingNeeds> {
  const found: string[] = [];
  const missing: string[] = [];
  const assumed: string[] = [];

  const { sources, maxCorrupt, workers } = config.data;
  const validation = validationSources(config);
  const roles = [
    { what: "data", sources, limit: Number.POSITIVE_INFINITY },
    { what: "evaluated on", sources: validation.sources, limit: config.validation.count },
  ];
  for (const role of roles) {
    const paths = role.sources.flatMap((source) => (source.kind === "scenes" ? [] : [source.path]));
    const absent: string[] = [];
    for (const path of paths) if (!(await exists(path))) absent.push(path);
    if (absent.length > 0) {
      for (const path of absent) missing.push(`${role.what}: ${path}: no such file or folder`);
      continue;
    }
    const opened = await openSources(
      role.sources,
      (text) => found.push(text),
      minSideOf(config.data, ...config.phases),
    );
    const count = opened.reduce((sum, { source }) => sum + source.count, 0);
    const names = paths.length === 0 ? "" : ` of ${paths.join(", ")}`;
    found.push(`${role.what}: ${countOf(Math.min(count, role.limit), paths.length === 0)}${names}`);
    const onCorrupt = (name: string, problem: string) => found.push(describeUnreadable(name, problem));
    const size = config.phases[0]?.size ?? 1;
    const loader = createPictureLoader({
      ...{ sources: opened, batch: 1, size, seed: config.seed, shuffle: false, prefetch: 0 },
      ...{ maxCorrupt, workers, onCorrupt },
    });
    try {
      await loader.next();
    } finally {
      await loader.close();
    }
  }

  if (config.perceptual !== "none" && wantsPerceptual(config)) {
    try {
      const { weights, perceptual } = await openPerceptual(config.perceptual);
      found.push(perceptual.name === "lpips" ? `LPIPS: ${weights.source}` : `compared by ${perceptual.label}`);
      await weights.close();
    } catch (error) {
      if (!(error instanceof DcaeError)) throw error;
      missing.push([errorMessage(error), error.hint].filter((text) => text !== undefined).join(". "));
    }
  }

  if (config.teacher !== null) {
    const { model: place } = placeOfCheckpoint(config.teacher.init);
    if (place === BUNDLED_MODEL || (await exists(place))) {
      await (await openTeacher(config))?.weights.close();
      found.push(`latents of ${place}`);
    } else {
      assumed.push(`${place}, the teacher, isn't on this disk, or is kept by the hub's cache`);
    }
  }

  if (config.init !== null) {
    const { model: place } = placeOfCheckpoint(config.init);
    if (place === BUNDLED_MODEL || (await exists(place))) {
      const start = await openStart({ config, directory: "" }, 0, describeModel(config));
      await start.weights.close();
      found.push(`starts from ${place}`);
    } else {
      assumed.push(
        `${place} isn't on this disk, or is kept by the hub's cache, and is taken to hold the model that is planned`,
      );
    }
  }
  if (config.phases.length > 1) assumed.push("each phase begins where the one before it ends");
  return { found, missing, assumed };
}
