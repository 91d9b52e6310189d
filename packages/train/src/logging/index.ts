/** Public names of logging. */
export { crc32c, maskedCrc32c } from "./crc32c.js";
export { type CurvesOptions, drawCurves } from "./curves.js";
export { createEventFile, type EventFile, type EventPicture } from "./event-file.js";
export { type MetricsLog, type MetricsRow, openMetricsLog, readMetrics } from "./metrics-log.js";
export {
  createProgress,
  formatDuration,
  formatProgress,
  type ProgressState,
  type TrainingProgress,
} from "./progress.js";
export { saveCurves } from "./save-curves.js";
export { createSpeed, type Speed } from "./speed.js";
