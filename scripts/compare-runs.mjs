// Whether two runs of a training came to the same: weights within a tolerance, or every bit.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const stateOf = (run, { name, steps }) =>
  join(run, name, "checkpoints", `step-${String(steps).padStart(8, "0")}`, "state.safetensors");

/** The float32 tensors of a safetensors file, by name. */
function tensorsOf(path) {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start).toString("utf8"));
  const tensors = new Map();
  for (const [name, { dtype, data_offsets }] of Object.entries(header)) {
    if (dtype !== "F32") continue;
    const [from, to] = data_offsets;
    tensors.set(name, new Float32Array(Uint8Array.from(bytes.subarray(start + from, start + to)).buffer));
  }
  return tensors;
}

/** @throws where a bit of the states that the phases left differs */
export function requireSameBits(one, other, phases) {
  for (const phase of phases) {
    if (readFileSync(stateOf(one, phase)).equals(readFileSync(stateOf(other, phase)))) continue;
    throw new Error(`${other}: ${phase.name} left other bits than in ${one}`);
  }
}

/** @throws where weights differ by more than 1e-6 of the largest one */
export function requireSameWeights(one, other, phases) {
  for (const phase of phases) {
    const [first, second] = [tensorsOf(stateOf(one, phase)), tensorsOf(stateOf(other, phase))];
    let [error, largest, count] = [0, 0, 0];
    for (const [name, values] of first) {
      if (/^(adamw|accumulated)\./.test(name)) continue;
      const theirs = second.get(name);
      if (theirs?.length !== values.length) throw new Error(`${other}: lacks ${name}`);
      values.forEach((value, i) => {
        error = Math.max(error, Math.abs(value - theirs[i]));
        largest = Math.max(largest, Math.abs(value));
      });
      count++;
    }
    if (count === 0 || !(error <= 1e-6 * largest)) {
      throw new Error(`${other}: ${phase.name} differs from ${one} by ${error / largest} of the largest weight`);
    }
  }
}
