/**
 * Graph to graph: 3x3 convolutions in Winograd's form, with channels last or first, whichever the program lets be cheap.
 *
 * Channels last is the faster form (winograd-channels-last.ts) as long as what lies between convolutions can follow. Group norms
 * can't: around them every convolution would be transposed twice, and a decode with SD-VAE at 256x256 took 2.3 s instead of 1.6
 * on one core. Such programs get the form with channels first, where tiles of 6 gain nothing over tiles of 4.
 */

import { analyze } from "../analyze.js";
import type { Program } from "../program.js";
import { topologicalOrder } from "../traverse.js";
import type { Value } from "../value.js";
import { channelsLastWinograd } from "./channels-last.js";
import { type ChooseWinograd, toWinograd } from "./winograd.js";

const values = (program: Program): Value[] => topologicalOrder([...program.outputs.values()]);
const convolutions = (program: Program): number => values(program).filter(({ op }) => op === "conv2d").length;

/** Changes between channels first and channels last of what varies. */
function layoutChanges(program: Program): number {
  const { isConstant } = analyze(program);
  const changes = ["0,2,3,1", "0,3,1,2"];
  return values(program).filter(
    (value) => value.op === "transpose" && changes.includes(value.attributes.permutation.join()) && !isConstant(value),
  ).length;
}

/** @param choose the tile of each convolution, undefined where it stays as it is */
export function inferenceWinograd(program: Program, choose: ChooseWinograd): Program {
  const last = channelsLastWinograd(program, choose);
  // With a transpose per convolution, beside the two at the ends, the two forms take about the same time.
  if (layoutChanges(last) <= convolutions(program) - convolutions(last) + 2) return last;
  return toWinograd(program, (size, weight) => {
    const tile = choose(size, weight);
    return tile === 6 ? 4 : tile;
  });
}
