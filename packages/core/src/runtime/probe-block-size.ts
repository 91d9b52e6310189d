/**
 * Asks ONNX Runtime for the blocked layout of its CPU kernels (onnx/blocked-layout.ts): how many channels a block has here, and
 * whether convolutions written in it are right.
 *
 * The layout is the runtime's own affair: it depends on the processor, and another version may do without. So nothing is taken
 * for granted; where the answer isn't the expected one, models keep to ONNX's own operators.
 */
import { input } from "../graph/ops/elementwise.js";
import { conv2d } from "../graph/ops/linear.js";
import { createProgram } from "../graph/program.js";
import { Tensor } from "../graph/tensor.js";
import { lowerProgram } from "../onnx/lower-program.js";
import { runOnce } from "./run-once.js";
import type { SessionHost } from "./session-host.js";

const CHANNELS = 16;

const ramp = (shape: readonly number[]) =>
  Tensor.float32(
    Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => (i % 7) - 3),
    shape,
  );

/** Where the second pixel of the first channel goes: behind the first block of channels. */
async function readBlockSize(host: SessionHost): Promise<number> {
  const shape = [1, CHANNELS, 1, 2];
  const info = (name: string) => ({ name, dtype: "float32", shape }) as const;
  const order = Tensor.float32(
    Float32Array.from({ length: 2 * CHANNELS }, (_, i) => i),
    shape,
  );
  const reorder = {
    opType: "ReorderInput",
    domain: "com.microsoft.nchwc",
    name: "reorder",
    inputs: ["x"],
    outputs: ["y"],
  };
  const y = await runOnce(
    host,
    {
      graphName: "block size",
      nodes: [{ ...reorder, attributes: {} }],
      initializers: [],
      inputs: [info("x")],
      outputs: [info("y")],
    },
    { x: order },
  );
  return y.toFloat32().indexOf(1);
}

/** Whether a depthwise convolution gives the same in the blocked layout as without. */
async function convolvesWell(host: SessionHost, block: number): Promise<boolean> {
  const [x, weight] = [input("x", [2, CHANNELS, 5, 4]), input("weight", [CHANNELS, 1, 3, 3])];
  const program = createProgram("probe", { y: conv2d(x, weight, { padding: 1, groups: CHANNELS }) });
  const inputs = { x: ramp([2, CHANNELS, 5, 4]), weight: ramp([CHANNELS, 1, 3, 3]) };
  const [blocked, plain] = [
    await runOnce(
      host,
      lowerProgram(program, () => "input", { block }),
      inputs,
    ),
    await runOnce(
      host,
      lowerProgram(program, () => "input"),
      inputs,
    ),
  ];
  const expected = plain.toFloat32();
  // Small integers: every order of additions gives exactly the same.
  return blocked.toFloat32().every((value, i) => value === expected[i]);
}

/** Channels per block on this machine, or undefined where the runtime has no such layout. */
export async function probeBlockSize(host: SessionHost): Promise<number | undefined> {
  try {
    const block = await readBlockSize(host);
    return block > 1 && CHANNELS % block === 0 && (await convolvesWell(host, block)) ? block : undefined;
  } catch {
    // A runtime that doesn't know the operators refuses the model: that is the answer.
    return undefined;
  }
}
