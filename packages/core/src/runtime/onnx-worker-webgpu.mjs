/**
 * The web worker that owns sessions on WebGPU, so that the page stays free. It imports its build of ONNX Runtime statically: workers
 * that a bundler makes one file of have no parts to load later.
 */
import * as ort from "onnxruntime-web/webgpu";
import { answerRequests } from "./onnx-requests.mjs";

// Where a bundler has put ONNX Runtime into this file, the runtime starts it again for its threads, which answer nothing.
if (!self.name.startsWith("em-pthread")) {
  const answer = answerRequests(ort, (message, transfer) => self.postMessage(message, transfer ?? []));
  self.addEventListener("message", ({ data }) => answer(data));
}
