/** The engines that training runs on, by name. tfjs has one current backend per process, so every test file takes one. */
import { createEngine, type Engine } from "@dcae/core/runtime";
import { createTfjsEngine } from "../../src/tfjs/tfjs-engine.js";

export const ENGINES: Readonly<Record<string, () => Promise<Engine>>> = {
  OnnxEngine: () => createEngine({ device: "cpu", threads: 1 }),
  TfjsEngine: () => createTfjsEngine({ backend: "wasm" }),
};
