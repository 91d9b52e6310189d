/** The program killed again and again at moments that a seed chooses, each time started anew, until it finishes. */
import { createRandom } from "@dcae/core/graph";
import { expect } from "vitest";
import { builtCli } from "./built-cli.js";

export interface KillOptions {
  /** How many times it is killed at most; what comes after that runs through. */
  readonly kills: number;
  readonly seed: number;
  /** How far the work is, in files or updates; asked every few milliseconds. */
  readonly progress: () => number;
  /** Progress after which a kill may come, up to one less than this. */
  readonly reach: number;
  /** Milliseconds within which a kill while it starts comes. */
  readonly start: number;
}

const POLL_MILLISECONDS = 2;

/**
 * @param argv the command line of each start
 * @returns number of kills
 */
export async function killAndResume(argv: () => readonly string[], options: KillOptions): Promise<number> {
  const { progress, reach, start } = options;
  const random = createRandom(options.seed, "kills");
  for (let kills = 0; ; kills++) {
    const [after, delay, before] = [random.nextInteger(reach), random.nextInteger(start), progress()];
    const { status, signal, stderr } = await builtCli(argv(), (child) => {
      if (kills >= options.kills) return;
      const started = Date.now();
      const timer = setInterval(() => {
        const due = after === 0 ? Date.now() - started > delay : progress() - before >= after;
        if (due) child.kill("SIGKILL");
      }, POLL_MILLISECONDS);
      child.on("close", () => clearInterval(timer));
    });
    if (status === 0) return kills;
    expect([signal, stderr]).toEqual(["SIGKILL", expect.not.stringContaining("dcae:")]);
  }
}
