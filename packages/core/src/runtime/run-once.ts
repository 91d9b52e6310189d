/** One run of a small model on the CPU, as probes of the runtime need it. */
import type { Tensor } from "../graph/tensor.js";
import { encodeModel, type OnnxModel } from "../onnx/model-proto.js";
import type { SessionHost } from "./session-host.js";

/** The model's output "y". */
export async function runOnce(
  host: SessionHost,
  model: OnnxModel,
  inputs: Readonly<Record<string, Tensor>>,
): Promise<Tensor> {
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
