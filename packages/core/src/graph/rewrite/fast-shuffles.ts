/** Graph to graph: pixel shuffles in the forms that move the least memory on a CPU (ops/shuffles.ts). */
import { isStaticShape } from "../dim.js";
import { mapProgram } from "../map-graph.js";
import { fastPixelShuffle, fastPixelUnshuffle } from "../ops/shuffles.js";
import type { Program } from "../program.js";

export function fastShuffles(program: Program): Program {
  return mapProgram(program, (_value, _inputs, keep) => {
    const value = keep();
    if (!isStaticShape(value.shape)) return value;
    if (value.op === "pixelShuffle") return fastPixelShuffle(value.inputs[0], value.attributes.factor);
    if (value.op === "pixelUnshuffle") return fastPixelUnshuffle(value.inputs[0], value.attributes.factor);
    return value;
  });
}
