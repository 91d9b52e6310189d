/** Opens a model from the hub, a folder or a file: configuration and weights, checked against each other. */
import { type OpenedModelFiles, openModel, type ResolveModelOptions } from "../checkpoint/open-model.node.js";
import { failClosed } from "../runtime/close-all.js";
import { type Checkpoint, type CheckpointOptions, checkOpened } from "./check-checkpoint.js";

export interface OpenOptions extends ResolveModelOptions, CheckpointOptions {
  /** Gets what the user should know (a copy from the cache was used without a connection); default: a process warning. */
  readonly onNotice?: ((notice: string) => void) | undefined;
}

/** Opens the files and passes on what the user should know. */
export async function openFiles(idOrPath: string, options: OpenOptions): Promise<OpenedModelFiles> {
  const { onNotice = (notice) => process.emitWarning(notice) } = options;
  const opened = await openModel(idOrPath, options);
  try {
    if (opened.notice !== undefined) onNotice(opened.notice);
    return opened;
  } catch (error) {
    return failClosed(error, [() => opened.weights.close()]);
  }
}

/**
 * Opens a checkpoint; its arrays are read later, one by one.
 *
 * @param idOrPath a repository of the Hugging Face hub ("mit-han-lab/dc-ae-f64c128-in-1.0"), a folder, or a weight file
 * @throws CheckpointError listing the tensors that lack, are too many or have another shape, or saying which file can't be
 *   had; ConfigError for unusable configurations and options
 */
export async function openCheckpoint(idOrPath: string, options: OpenOptions = {}): Promise<Checkpoint> {
  return checkOpened(await openFiles(idOrPath, options), options);
}
