/**
 * `metrics.jsonl`: one JSON object per line, each with its step. A line is appended in one write, so that a killed run leaves
 * at most one torn line at the end; a run that resumes drops that and every line behind its checkpoint.
 */
import { type FileHandle, mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { errorCode, fileError, writeFileAtomic } from "@dcae/core/checkpoint";

/** Values of one step; only numbers are plotted. */
export interface MetricsRow {
  readonly step: number;
  readonly [name: string]: number | string;
}

export interface MetricsLog {
  append(row: MetricsRow): Promise<void>;
  close(): Promise<void>;
}

/** NaN and infinity aren't JSON: a row with them is still written, with their names as text. */
function line(row: MetricsRow): string {
  return `${JSON.stringify(row, (_, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value))}\n`;
}

/**
 * The rows of a log; lines that are no rows (a torn one) are left out.
 *
 * @throws DataError when the file can't be read; one that doesn't exist has no rows
 */
export async function readMetrics(path: string): Promise<MetricsRow[]> {
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw fileError(error, path, "read");
  }
  return content.split("\n").flatMap((text) => {
    try {
      const row = JSON.parse(text) as MetricsRow;
      return typeof row?.step === "number" ? [row] : [];
    } catch {
      return [];
    }
  });
}

const isEvaluation = (row: MetricsRow) => Object.keys(row).some((name) => name.startsWith("eval_"));

/**
 * Opens a log to go on after `step`; what it holds of later steps is removed.
 *
 * @param evaluated whether the evaluation of `step` is there to stay; otherwise it is removed, too
 * @throws DataError when it can't be written
 */
export async function openMetricsLog(path: string, step: number, evaluated = true): Promise<MetricsLog> {
  const stays = (row: MetricsRow) => row.step < step || (row.step === step && (evaluated || !isEvaluation(row)));
  const kept = (await readMetrics(path)).filter(stays);
  let handle: FileHandle;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(kept.map(line).join(""))));
    handle = await open(path, "a");
  } catch (error) {
    throw fileError(error, path, "write");
  }
  return {
    async append(row) {
      try {
        await handle.appendFile(line(row));
      } catch (error) {
        throw fileError(error, path, "write");
      }
    },
    close: () => handle.close(),
  };
}
