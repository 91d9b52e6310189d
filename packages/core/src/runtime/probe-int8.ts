/**
 * Asks ONNX Runtime whether its convolutions of 8 bits are exact on this processor.
 *
 * x64 processors without VNNI multiply uint8 by int8 with an instruction that adds pairs of products in 16 bits, where large
 * values overflow and are clamped. The runtime has an exact form for them, which takes twice the time of VNNI's, so that it is
 * asked for only where it is needed.
 */
import { constant, input } from "../graph/ops/elementwise.js";
import { qlinearConv2d } from "../graph/ops/linear.js";
import { createProgram } from "../graph/program.js";
import { Tensor } from "../graph/tensor.js";
import { lowerProgram } from "../onnx/lower-program.js";
import { runOnce } from "./run-once.js";
import type { SessionHost } from "./session-host.js";

const CHANNELS = 16;
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
