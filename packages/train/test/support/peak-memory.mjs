// Runs an ONNX model on zeros in a process of its own and prints the largest resident size, in bytes.
// Arguments: module path of onnxruntime-node, model file, inputs as JSON { name: shape }.
import { readFileSync } from "node:fs";

const [runtime, file, inputs] = process.argv.slice(2);
const ort = (await import(runtime)).default;
const session = await ort.InferenceSession.create(readFileSync(file), { intraOpNumThreads: 1 });
const feeds = Object.fromEntries(
  Object.entries(JSON.parse(inputs)).map(([name, shape]) => {
    const size = shape.reduce((product, dim) => product * dim, 1);
    return [name, new ort.Tensor("float32", new Float32Array(size).fill(0.1), shape)];
  }),
);
const outputs = await session.run(feeds);
process.stdout.write(JSON.stringify({ bytes: process.resourceUsage().maxRSS * 1024, loss: outputs.loss.data[0] }));
