/**
 * Finds an implementation of TensorFlow.js: none of them is installed with this package.
 *
 * tfjs-node and tfjs-node-gpu bring native TensorFlow, which their install scripts download; where they aren't allowed to, or
 * don't support the platform, importing them fails, and the pure backends remain.
 */
import { ConfigError, EngineError, errorMessage } from "@dcae/core/graph";
import type { Tf } from "./kernel.js";

/** TensorFlow with CUDA, TensorFlow on the CPU, WebAssembly, plain JavaScript. */
export const TFJS_BACKENDS = ["tensorflow-gpu", "tensorflow", "wasm", "cpu"] as const;
/** Backends of TensorFlow.js. */
export type TfjsBackend = (typeof TFJS_BACKENDS)[number];

interface Source {
  /** The module with the ops. */
  readonly module: string;
  /** A module that registers the backend, where the first doesn't. */
  readonly registers?: string;
  /** Name of the backend inside tfjs. */
  readonly backend: string;
}

const sources: Readonly<Record<TfjsBackend, Source>> = {
  "tensorflow-gpu": { module: "@tensorflow/tfjs-node-gpu", backend: "tensorflow" },
  tensorflow: { module: "@tensorflow/tfjs-node", backend: "tensorflow" },
  wasm: { module: "@tensorflow/tfjs-core", registers: "@tensorflow/tfjs-backend-wasm", backend: "wasm" },
  cpu: { module: "@tensorflow/tfjs-core", registers: "@tensorflow/tfjs-backend-cpu", backend: "cpu" },
};

interface LoadedTfjs {
  readonly tf: Tf;
  readonly backend: TfjsBackend;
}

async function load(name: TfjsBackend): Promise<Tf> {
  const { module, registers, backend } = sources[name];
  // A variable, so that neither the compiler nor a bundler insists on a module that may be absent.
  const loaded = (await import(module)) as Tf & { default?: Tf };
  if (registers !== undefined) await import(registers);
  // CommonJS modules arrive with their names on `default` only where Node couldn't find them.
  const tf = typeof loaded.conv2d === "function" ? loaded : (loaded.default as Tf);
  if (!(await tf.setBackend(backend))) throw new Error(`the backend "${backend}" doesn't start`);
  await tf.ready();
  return tf;
}

/**
 * The backend of that name, or the first of the list that loads for "auto".
 *
 * @throws ConfigError for an unknown name, EngineError when it doesn't load; both say what to do
 */
export async function loadTfjs(wanted: TfjsBackend | "auto"): Promise<LoadedTfjs> {
  if (wanted !== "auto" && !TFJS_BACKENDS.includes(wanted)) {
    throw new ConfigError(`tfjs backend: "${String(wanted)}" is unknown`, {
      hint: `Use auto, ${TFJS_BACKENDS.join(", ")}.`,
    });
  }
  const problems: string[] = [];
  for (const name of wanted === "auto" ? TFJS_BACKENDS : [wanted]) {
    try {
      return { tf: await load(name), backend: name };
    } catch (error) {
      problems.push(`${name}: ${errorMessage(error).split("\n")[0]}`);
    }
  }
  const { module, registers } = sources[wanted === "auto" ? "cpu" : wanted];
  throw new EngineError(`TensorFlow.js doesn't load here (${problems.join("; ")})`, {
    hint: `Install it: npm install ${module}${registers === undefined ? "" : ` ${registers}`}`,
  });
}
