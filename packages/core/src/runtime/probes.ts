/** What a runtime can do, found out by running small models on the CPU. */
import { constant, input } from "../graph/ops/elementwise.js";
import { conv2d, qlinearConv2d } from "../graph/ops/linear.js";
import { createProgram } from "../graph/program.js";
import { Tensor } from "../graph/tensor.js";
import { lowerProgram } from "../onnx/lower-program.js";
import { encodeModel, type OnnxModel } from "../onnx/model-proto.js";
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

// Asks ONNX Runtime whether its convolutions of 8 bits are exact on this processor.
//
// x64 processors without VNNI multiply uint8 by int8 with an instruction that adds pairs of products in 16 bits, where large
// values overflow and are clamped. The runtime has an exact form for them, which takes twice the time of VNNI's, so that it is
// asked for only where it is needed.

/** Of input and weight; two of their products exceed 16 bits. */
const [INPUT, WEIGHT] = [255, 127];
const OUTPUT_SCALE = 4096;
const EXACT = Math.round((CHANNELS * INPUT * WEIGHT) / OUTPUT_SCALE);

/** Whether sums of the largest products come out right without asking for precision. */
export async function probeExactInt8(host: SessionHost): Promise<boolean> {
  const weight = new Tensor("int8", new Int8Array(CHANNELS * CHANNELS).fill(WEIGHT), [CHANNELS, CHANNELS, 1, 1]);
  const scales = Tensor.float32(new Float32Array(CHANNELS).fill(1), [CHANNELS]);
  const y = qlinearConv2d(input("x", [1, CHANNELS, 1, 1], "uint8"), constant(weight), constant(scales), {
    input: { scale: 1, zeroPoint: 0 },
    output: { scale: OUTPUT_SCALE, zeroPoint: 0 },
  });
  const model = lowerProgram(createProgram("int8 probe", { y }), () => "input");
  const x = new Tensor("uint8", new Uint8Array(CHANNELS).fill(INPUT), [1, CHANNELS, 1, 1]);
  const result = await runOnce(host, model, { x });
  return (result.data as Uint8Array).every((value) => value === EXACT);
}

/** The model's output "y". */
async function runOnce(host: SessionHost, model: OnnxModel, inputs: Readonly<Record<string, Tensor>>): Promise<Tensor> {
  const session = await host.createSession(encodeModel(model), {
    device: "cpu",
    threads: 1,
    externalBuffers: new Map(),
  });
  try {
    return (await session.run(new Map(Object.entries(inputs)))).get("y") as Tensor;
  } finally {
    await session.release();
  }
}
