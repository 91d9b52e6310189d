/** Reports as files. */
import { writeFileAtomic } from "@dcae/core/checkpoint";
import type { EvaluationResult } from "../results/evaluation-result.js";
import { type ReportPictures, renderReport } from "./render-report.js";

/** @throws DataError when the file can't be written */
export async function writeReport(
  path: string,
  result: EvaluationResult,
  pictures: ReportPictures = {},
): Promise<void> {
  const text = await renderReport(result, pictures);
  await writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(text)));
}
