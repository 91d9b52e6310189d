/**
 * The engine for Node: onnxruntime-node in a worker thread, with the device chosen and checked before it is used.
 */
import { realpath } from "node:fs/promises";
import { availableParallelism, freemem } from "node:os";
import { checkOptions, type OptionNames } from "../check-options.js";
import { didYouMean } from "../closest-name.js";
import { ConfigError, EngineError, errorMessage } from "../errors.js";
import { add, input } from "../graph/ops/elementwise.js";
import { createProgram } from "../graph/program.js";
import { CPU_COSTS } from "../graph/rewrite/cpu-costs.js";
import { lowerProgram } from "../onnx/lower-program.js";
import { encodeModel } from "../onnx/model-proto.js";
import { chooseForm, FORM_OPTIONS } from "./compile.js";
import { cpuFacts } from "./cpu-facts.node.js";
import { DEVICES, type Device, type EngineOptions } from "./engine.js";
import { openKeptConstants, temporaryConstants } from "./kept-constants.node.js";
import { OnnxEngine, type OnnxEngineOptions } from "./onnx-engine.js";
import { isLibraryError, REINSTALL } from "./runtime-library.node.js";
import type { SessionHost } from "./session-host.js";
import { createWorkerSessionHost } from "./worker-session-host.node.js";

/** What to do where a device can't be used. */
export const INSTALL_HINTS: Readonly<Record<Device, string>> = {
  cpu: `${REINSTALL}.`,
  webgpu: "WebGPU needs a GPU with Vulkan (Linux), Metal (macOS) or Direct3D 12 (Windows) drivers.",
  cuda: "Install CUDA 12 and cuDNN 9, then run `npm rebuild onnxruntime-node` so that its CUDA library is fetched.",
  tensorrt: "Install TensorRT 10 beside CUDA 12, then run `npm rebuild onnxruntime-node`.",
  coreml: "Core ML exists on macOS only.",
  dml: "DirectML exists on Windows only.",
  wasm: "WebAssembly is the browser's device; use cpu in Node.",
};

/**
 * Devices that "auto" tries, best first. WebGPU isn't tried on Linux: without a GPU, Vulkan falls back to a software
 * renderer that is slower than the CPU device and can't be told apart from here.
 */
const AUTO_ORDER: Readonly<Partial<Record<NodeJS.Platform, readonly Device[]>>> = {
  linux: ["cuda", "cpu"],
  win32: ["cuda", "dml", "cpu"],
  darwin: ["webgpu", "cpu"],
};

/** Why `device` can't be used in this process, or undefined when a small program runs on it. */
export async function probeDevice(device: Device): Promise<string | undefined> {
  const host = createWorkerSessionHost();
  try {
    const problem = await probe(host, device);
    return problem && errorMessage(problem);
  } finally {
    await host.close();
  }
}

async function probe(host: SessionHost, device: Device): Promise<Error | undefined> {
  const x = input("x", [1]);
  const program = createProgram("probe", { y: add(x, 1) });
  try {
    const model = encodeModel(lowerProgram(program, () => "input"));
    const session = await host.createSession(model, { device, externalBuffers: new Map() });
    await session.release();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(errorMessage(error));
  }
}

/** The first device of "auto" that works. @throws EngineError where none does, because the library lacks */
async function chooseDevice(host: SessionHost): Promise<Device> {
  for (const device of AUTO_ORDER[process.platform] ?? []) {
    if (device === "cpu") return device;
    const problem = await probe(host, device);
    if (problem === undefined) return device;
    if (isLibraryError(problem)) throw problem;
  }
  return "cpu";
}

/** macOS calls memory free only where nothing is cached in it, which says nothing of what a process may take. */
const freeMemory = process.platform === "darwin" ? undefined : () => process.availableMemory?.() ?? freemem();

/** Where programs put what they compute from weights; only rewritten ones compute much. */
async function constantFiles(
  device: Device,
  programCache: string | undefined,
): Promise<OnnxEngineOptions["constants"]> {
  if (programCache !== undefined) return openKeptConstants(programCache);
  if (device !== "cpu") return undefined;
  return ({ kind }) => (kind === "fast" || kind === "int8" ? temporaryConstants() : undefined);
}

export const ENGINE_OPTIONS: OptionNames<EngineOptions> = {
  ...FORM_OPTIONS,
  device: true,
  threads: true,
  programCache: true,
};

/** What a Node program can name; "wasm" is the browser's. */
const NODE_DEVICES = DEVICES.filter((device) => device !== "wasm");

/** @throws ConfigError for values that are wrong whatever is computed */
export function checkEngineWords({ device, threads }: Pick<EngineOptions, "device" | "threads">): void {
  if (device !== undefined && device !== "auto" && !DEVICES.includes(device)) {
    const choices = ["auto", ...NODE_DEVICES];
    throw new ConfigError(`device: "${String(device)}" is unknown${didYouMean(String(device), choices)}`, {
      hint: `Use ${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}; \`dcae doctor\` says which work here.`,
    });
  }
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    throw new ConfigError(`threads: ${threads} isn't a positive integer`);
  }
}

/**
 * Starts an engine on onnxruntime-node.
 *
 * @throws ConfigError for unknown options, EngineError when the chosen device doesn't work here
 * @example
 * ```ts
 * import { createEngine } from "@dcae/core";
 * import { add, createProgram, input } from "@dcae/core/graph";
 * import { initialWeights } from "@dcae/core/checkpoint";
 * import { Tensor } from "@dcae/core";
 *
 * const engine = await createEngine({ device: "cpu" });
 * const x = input("x", [2], "float32");
 * const program = createProgram("twice", { y: add(x, x) });
 * const loaded = await engine.load(program, initialWeights([], 0));
 * const { y } = await loaded.run({ x: Tensor.float32([1, 2]) });
 * console.log(y?.toNested()); // [2, 4]
 * await engine.dispose();
 * ```
 */
export async function createEngine(options: EngineOptions = {}): Promise<OnnxEngine> {
  checkOptions("createEngine", options, ENGINE_OPTIONS);
  checkEngineWords(options);
  const { device = "auto", threads, programCache } = options;
  const form = chooseForm(options);
  const host = createWorkerSessionHost();
  try {
    const wanted = form.kind === "int8" ? "cpu" : device;
    const chosen = wanted === "auto" ? await chooseDevice(host) : wanted;
    const problem = device === "auto" ? undefined : await probe(host, chosen);
    if (isLibraryError(problem)) throw problem;
    if (problem !== undefined) {
      const hint = INSTALL_HINTS[chosen];
      throw new EngineError(`device "${chosen}" doesn't work here: ${errorMessage(problem)}`, { cause: problem, hint });
    }
    if (programCache !== undefined && chosen !== "cpu") {
      throw new ConfigError(`programCache: it is for the CPU, the device is ${chosen}`, {
        hint: 'Use the device "cpu".',
      });
    }
    return new OnnxEngine(host, {
      device: chosen,
      form,
      threads: threads ?? availableParallelism(),
      constants: await constantFiles(chosen, programCache),
      costs: chosen === "cpu" ? CPU_COSTS[(await cpuFacts()).set] : undefined,
      freeMemory,
      locate: realpath,
    });
  } catch (error) {
    await host.close();
    throw error;
  }
}
