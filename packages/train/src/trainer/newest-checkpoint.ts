/** What a run goes on from. */
import { ConfigError } from "@dcae/core/graph";
import { checkpointPath, listCheckpoints, type OpenCheckpoint, openCheckpointFolder } from "./checkpoint.js";

export interface ResumeOptions {
  /** The run's folder, for messages. */
  readonly directory: string;
  /** False refuses a folder with checkpoints. */
  readonly resume?: boolean;
  /** What may not change when the run is resumed, as JSON. */
  readonly identity: Readonly<Record<string, unknown>>;
}

/** Ends of schedules: a run that goes on for longer may have them later. */
const MAY_CHANGE = new Set(["stableSteps", "totalSteps", "maxSteps", "decaySteps"]);

/** Settings that checkpoints of earlier versions don't have, with the value that they stood for. */
const LATER: Readonly<Record<string, unknown>> = { factor: 1 };

/** As JSON has it, since a default that isn't written is undefined on one side only. */
function comparable(identity: Readonly<Record<string, unknown>>, key: string): string | undefined {
  return JSON.stringify(identity[key], (name, value: unknown) =>
    MAY_CHANGE.has(name) || (Object.hasOwn(LATER, name) && LATER[name] === value) ? undefined : value,
  );
}

/**
 * The newest checkpoint in `folder`, or undefined at the beginning. Close its `state`.
 *
 * @throws ConfigError when the run mustn't be resumed, or was started with other settings
 */
export async function newestCheckpoint(folder: string, options: ResumeOptions): Promise<OpenCheckpoint | undefined> {
  const newest = (await listCheckpoints(folder)).at(-1);
  if (newest === undefined) return undefined;
  if (options.resume === false) {
    throw new ConfigError(`${options.directory}: there is a run with checkpoints in this folder`, {
      hint: "Resume it, or choose another folder.",
    });
  }
  const checkpoint = await openCheckpointFolder(checkpointPath(folder, newest));
  const [then, now] = [checkpoint.notes.identity, options.identity];
  const changed = [...new Set([...Object.keys(then), ...Object.keys(now)])].filter(
    (key) => comparable(then, key) !== comparable(now, key),
  );
  if (changed.length === 0) return checkpoint;
  await checkpoint.state.close();
  throw new ConfigError(`${options.directory}: this run was started with other settings: ${changed.join(", ")}`, {
    hint: "Resume it with the same ones, or start another run from its model.",
  });
}
