/** What a run leaves beside its checkpoints: metrics, event files, pictures, curves. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { encodeImage, type Image, saveImage } from "@dcae/core/image";
import { withClosing } from "@dcae/core/runtime";
import { saveCurves } from "../logging/curves.js";
import { createEventFile } from "../logging/event-file.js";
import { openMetricsLog } from "../logging/metrics-log.js";
import type { Metrics } from "./update-stage.js";

/** The files of a run. */
export function runFiles(directory: string) {
  return {
    checkpoints: join(directory, "checkpoints"),
    parameters: join(directory, "parameters.tsv"),
    metrics: join(directory, "metrics.jsonl"),
    events: join(directory, "events"),
    curves: join(directory, "curves"),
    samples: join(directory, "samples"),
    best: join(directory, "best"),
    model: join(directory, "model"),
  } as const;
}

export interface RunRecord {
  /** Values of an update or an evaluation. */
  metrics(step: number, values: Metrics): Promise<void>;
  /** Pictures of an evaluation, by name. */
  pictures(step: number, pictures: Readonly<Record<string, Image>>): Promise<void>;
  /** Draws all metrics so far. */
  curves(): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param step the update that the run goes on after; null at its beginning. What was recorded of later ones is removed.
 * @param evaluated whether the evaluation of `step` is there to stay
 * @throws DataError when files can't be written
 */
export async function openRecord(directory: string, step: number | null, evaluated = true): Promise<RunRecord> {
  const files = runFiles(directory);
  // An evaluation before the first update belongs to update 0.
  const log = await openMetricsLog(files.metrics, step ?? -1, evaluated);
  const events = await createEventFile(files.events, step ?? -1).catch(async (error: unknown) => {
    await log.close();
    throw error;
  });
  return {
    async metrics(at, values) {
      // Values are float32: more digits would be those of its representation.
      const short = Object.entries(values).map(([name, value]) => [name, Number(value.toPrecision(7))] as const);
      await log.append({ step: at, time: Date.now() / 1000, ...Object.fromEntries(short) });
      await events.scalars(at, values);
    },
    async pictures(at, pictures) {
      for (const [name, image] of Object.entries(pictures)) {
        await mkdir(files.samples, { recursive: true });
        await saveImage(image, join(files.samples, `${name}-${String(at).padStart(8, "0")}.png`));
        const { width, height } = image;
        await events.picture(at, name, { png: await encodeImage(image, "png"), width, height });
      }
    },
    curves: () => saveCurves(files.metrics, files.curves, { title: directory }),
    close: () =>
      withClosing(async (onEnd) => {
        onEnd(() => log.close());
        onEnd(() => events.close());
      }),
  };
}
