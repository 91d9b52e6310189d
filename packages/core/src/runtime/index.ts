/** Public names of the runtime. */
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
export { type CpuFacts, cpuFacts, whyNotInt8 } from "./cpu-facts.node.js";
export { createEngine, INSTALL_HINTS, probeDevice } from "./create-engine.node.js";
export {
  COMPUTE_DTYPES,
  type ComputeDType,
  DEVICES,
  type Device,
  type Engine,
  type EngineOptions,
  type EngineState,
  type LoadedProgram,
  type LoadProgramOptions,
  type NamedTensors,
} from "./engine.js";
export { OnnxEngine, type OnnxEngineOptions } from "./onnx-engine.js";
export { type ProgramMemory, programMemory } from "./program-memory.js";
export { runtimeVersion } from "./runtime-library.node.js";
export type { Session, SessionHost, SessionOptions } from "./session-host.js";
export { createWorkerSessionHost } from "./worker-session-host.node.js";
