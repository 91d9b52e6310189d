/** What runners report while they work. */
import { ConfigError } from "@dcae/core";

export interface Progress {
  /** What is being done, as in "reconstruct" or "precision and recall". */
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  /** What is counted; "share" runs from 0 to 1. */
  readonly unit: "images" | "share";
  /** Images that an earlier run had done already. */
  readonly resumed?: number;
}

export interface RunOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Ends the run at the next batch. What is finished stays in the work folder. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Folder for finished parts: a run with the same settings goes on where this one was stopped. Without it a stopped run
   * starts anew.
   */
  readonly workFolder?: string | undefined;
  /** Pictures per finished part (default 64): what a stopped run loses at most. */
  readonly chunkSize?: number | undefined;
}

/** @throws the signal's reason (or ConfigError) when the run was aborted */
export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw signal.reason instanceof Error ? signal.reason : new ConfigError("the run was stopped");
}
