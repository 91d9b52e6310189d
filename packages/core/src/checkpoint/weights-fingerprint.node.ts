/** What tells the weights of two models apart, whatever files they lie in. */
import { createHash } from "node:crypto";
import type { Weights } from "./weights.js";

/** SHA-256 of a model's tensors with their names and shapes. Two gigabytes take seconds. */
export async function weightsFingerprint(weights: Weights): Promise<string> {
  const hash = createHash("sha256");
  for (const entry of [...weights.entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    hash.update(`${entry.name} ${entry.dtype} ${entry.shape.join("x")}\n`);
    hash.update((await entry.read()).bytes);
  }
  return hash.digest("hex");
}
