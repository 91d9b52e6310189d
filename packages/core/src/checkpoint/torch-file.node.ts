/** Files of `torch.save` on disk (Node). */
import { openFileSource } from "./file-source.node.js";
import { openTorch } from "./torch-file.js";
import type { Weights } from "./weights.js";

/**
 * Opens a file of `torch.save` (.pt, .pth, .ckpt, .bin); tensors are read when they are asked for. Nothing in it is executed.
 *
 * @throws CheckpointError (see openTorch)
 */
export async function openTorchFile(path: string): Promise<Weights> {
  return openTorch(await openFileSource(path));
}
