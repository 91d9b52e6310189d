/** Public names of the ONNX lowering and writer. */
export { lowerProgram, type ParameterBinding } from "./lower-program.js";
export { type ExternalData, encodeModel, ONNX_OPSET, type OnnxModel } from "./model-proto.js";
