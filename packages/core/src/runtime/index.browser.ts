/** Public names of the runtime in browsers. */
export { closeAll, failClosed, withClosing } from "./close-all.js";
export {
  type Compiled,
  chooseForm,
  compile,
  dtypeOfForm,
  type Form,
  type FormOptions,
  memoryUnknown,
} from "./compile.js";
export { createEngine, createWebSessionHost, type OrtModule, type WebEngineOptions } from "./create-engine.browser.js";
export {
  COMPUTE_DTYPES,
  type ComputeDType,
  DEVICES,
  type Device,
  type Engine,
  type EngineState,
  type LoadedProgram,
  type LoadProgramOptions,
  type NamedTensors,
} from "./engine.js";
export { OnnxEngine, type OnnxEngineOptions } from "./onnx-engine.js";
export { type ProgramMemory, programMemory } from "./program-memory.js";
export type { Session, SessionHost, SessionOptions } from "./session-host.js";
