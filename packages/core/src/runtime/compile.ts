/**
 * The forms in which programs run: which there are, how a user's words become one, and what each makes of a program. This is
 * the one place that knows; engines only load, run and dispose.
 */
import type { OptionNames } from "../check-options.js";
import { ConfigError, EngineError } from "../errors.js";
import type { Program } from "../graph/program.js";
import { type CpuCosts, rewritingPays, winogradChooser } from "../graph/rewrite/cpu-costs.js";
import { toHalfPrecision } from "../graph/rewrite/half-precision.js";
import { optimize as rewriteFaster } from "../graph/rewrite/optimize.js";
import { type ActivationRanges, toInt8 } from "../graph/rewrite/quantize.js";
import { onnxForm } from "../onnx/lowerings.js";
import { COMPUTE_DTYPES, type ComputeDType, type Device } from "./engine.js";
import { MEMORY_MARGIN, programMemory } from "./program-memory.js";
import type { SessionOptions } from "./session-host.js";

/** The form in which programs run, with what each needs. */
export type Form =
  /** As it is written, in float32. */
  | ({ readonly kind: "plain" } & Packing)
  /** Rewritten into a faster one, in float32 (see graph/rewrite/optimize.ts). */
  | { readonly kind: "fast" }
  /** Program by program: the fast one on a CPU where it saves more than it costs (`rewritingPays`) and fits, otherwise the plain one. */
  | ({
      readonly kind: "auto";
      /** How often each program will run. Default `USUAL_RUNS`. */
      readonly runs?: number;
    } & Packing)
  /** In float16. */
  | ({ readonly kind: "half" } & Packing)
  /** Convolutions with numbers of 8 bits, on the CPU (see graph/rewrite/quantize.ts). */
  | {
      readonly kind: "int8";
      /** Between which values convolutions take and give, as `calibrate` observes them. */
      readonly ranges: ActivationRanges;
      /** Whether programs may be parts of the model that have none of the ranges' convolutions. Default false. */
      readonly inParts?: boolean;
    }
  /** Parameters change between runs; in float32. Programs without state run as they are written, beside these. */
  | {
      readonly kind: "stateful";
      /**
       * Whether depthwise convolutions run in the blocked layout of the runtime's CPU kernels, where it has one (see
       * onnx/blocked-layout.ts): several times the speed. False is for comparisons.
       */
      readonly blocked: boolean;
    };

interface Packing {
  /**
   * On the CPU: whether the runtime converts the weights of convolutions into the layout that its kernels like best. It takes a
   * copy of them and a second or two at loading; without it, weights are used where they lie in the checkpoint, and convolutions
   * of 3x3 take up to a fifth longer.
   */
  readonly packWeights: boolean;
}

export const PLAIN: Form = { kind: "plain", packWeights: true };
/** Of a program of which nothing is said. */
const USUAL_RUNS = 4;
export const STATEFUL = { kind: "stateful", blocked: true } as const satisfies Form;

/** What users say about the form. */
export interface FormOptions {
  /**
   * Default "float32". float16 halves memory where the device computes in it; the CPU has no kernels for it. int8 is for the
   * CPU: weights take a quarter of the memory, for an error that depends on the model; `fromPretrained` finds the ranges that it
   * needs.
   */
  readonly dtype?: ComputeDType;
  /**
   * Whether programs are rewritten into faster ones before they run: half the time on a CPU, or less, in float32. Outputs differ by
   * rounding, up to 1e-4 of the largest value for a whole model. "auto" does it on a CPU, in Node, where the time that is saved pays
   * for the loading, and where there is free memory for it (not looked at on macOS); true always, false never. Default "auto".
   *
   * Transformed convolution weights take four to seven times the memory of the weights, and time to compute at loading; they pass
   * through the system's folder for temporary files (TMPDIR), which needs room for them, or lie in `programCache`. Under `maxMemory`,
   * "auto" rewrites pictures that then fit whole. Programs with state are never rewritten.
   */
  readonly optimize?: "auto" | boolean;
  /** The form itself, instead of `dtype` and `optimize`. */
  readonly form?: Form;
}

export const FORM_OPTIONS: OptionNames<FormOptions> = { dtype: true, optimize: true, form: true };

/** What users say about the form, and where programs run. */
export interface FormWords extends FormOptions {
  readonly device?: Device | "auto";
}

/**
 * The form that a user's words mean.
 *
 * @param packing for programs that run as they are written
 * @throws ConfigError for words that contradict each other
 */
export function chooseForm(words: FormWords, packing: Packing = { packWeights: true }): Form {
  const { dtype, optimize, form, device = "auto" } = words;
  if (dtype !== undefined && !COMPUTE_DTYPES.includes(dtype)) {
    throw new ConfigError(`dtype: "${String(dtype)}" is unknown`, { hint: `Use ${COMPUTE_DTYPES.join(", ")}.` });
  }
  if (optimize !== undefined && optimize !== "auto" && typeof optimize !== "boolean") {
    throw new ConfigError(`optimize: "${String(optimize)}" is unknown`, { hint: 'Use "auto", true or false.' });
  }
  if (form !== undefined) {
    const useless = dtype !== undefined ? "dtype" : optimize !== undefined ? "optimize" : undefined;
    if (useless === undefined) {
      checkDevice(form, device);
      return form;
    }
    throw new ConfigError(`${useless}: it has no effect beside form`, { hint: "Leave one of them out." });
  }
  if (optimize === true && dtype !== undefined && dtype !== "float32") {
    throw new ConfigError(`optimize: it has no effect with dtype ${dtype}, it is for float32`, {
      hint: "Leave it out.",
    });
  }
  if (dtype === "int8") {
    throw new ConfigError("dtype: int8 needs the ranges of a model's values", {
      hint: 'fromPretrained finds them; for programs of your own, observe them and give form: { kind: "int8", ranges }.',
    });
  }
  if (dtype === "float16") return { kind: "half", ...packing };
  if (optimize === true) return { kind: "fast" };
  return { kind: optimize === false ? "plain" : "auto", ...packing };
}

/** The form of programs that must take little memory, and may be parts of a model: what a form leaves open is decided for memory. */
export function leanForm(form: Form): Form {
  if (form.kind === "int8") return { ...form, inParts: true };
  return form.kind === "auto" ? { kind: "plain", packWeights: false } : form;
}

/** The form of programs that are parts of a larger one: what a form leaves open is decided as for the whole, `compiled`. */
export function partsForm(form: Form, { kind }: Pick<Compiled, "kind">): Form {
  return form.kind === "auto" && kind === "fast" ? { kind } : form;
}

/** @throws ConfigError for a form that the device doesn't have */
export function checkDevice({ kind }: Pick<Form, "kind">, device: Device | "auto"): void {
  if (kind !== "int8" || device === "auto" || device === "cpu") return;
  throw new ConfigError(`dtype: int8 is for the CPU, the device is ${device}`, { hint: 'Use the device "cpu".' });
}

const DTYPES: Readonly<Record<Form["kind"], ComputeDType>> = {
  plain: "float32",
  fast: "float32",
  auto: "float32",
  half: "float16",
  int8: "int8",
  stateful: "float32",
};

/** The type that programs of a form compute in. */
export function dtypeOfForm({ kind }: Pick<Form, "kind">): ComputeDType {
  return DTYPES[kind];
}

/**
 * That how much memory a program takes isn't known, or undefined where it is.
 *
 * @param device that the program will run on
 */
export function memoryUnknown(device: Device): EngineError | undefined {
  if (device === "cpu") return undefined;
  return new EngineError("how much memory a program takes is only known for the CPU", {
    hint: 'Use the device "cpu", or leave out the limit.',
  });
}

/** A program as it runs. */
export interface Compiled {
  readonly program: Program;
  /** What became of a form that leaves it open. */
  readonly kind: Exclude<Form["kind"], "auto">;
  readonly session: Pick<SessionOptions, "arena" | "planMemory" | "packWeights">;
  /** Whether weights that change take the blocked layout. */
  readonly blocked: boolean;
  /**
   * Bytes that the program takes to be loaded and to run once, without the tensors that cross to it.
   *
   * @throws EngineError where that isn't known
   */
  predictMemory(): number;
}

/** Pieces of memory that are kept, without a planned block beside them. */
const ARENA = { arena: true, planMemory: false } as const;
const NO_ARENA = { arena: false, planMemory: true } as const;

/** What is known of the machine that a program will run on. */
export interface Machine {
  readonly costs?: CpuCosts | undefined;
  /** Bytes that the process may still take. */
  readonly freeMemory?: number | undefined;
}

/** Whether a program fits free memory, predictions being off by so much. */
export function fitsMemory(bytes: number, { freeMemory = Number.POSITIVE_INFINITY }: Machine): boolean {
  return bytes * MEMORY_MARGIN <= freeMemory;
}

/**
 * What a form makes of a program on a device: the graph that runs, how its session keeps memory and weights, and what it takes.
 *
 * @param device that the program will run on
 * @param machine the facts that the form "auto" decides by; without them, those of an unknown CPU with enough memory
 */
export function compile(original: Program, form: Form, device: Device, machine: Machine = {}): Compiled {
  const { costs } = machine;
  const memoryOf = (program: Program, as: Parameters<typeof programMemory>[1]) => () => {
    const unknown = memoryUnknown(device);
    if (unknown !== undefined) throw unknown;
    return programMemory(program, as).running;
  };
  switch (form.kind) {
    case "auto": {
      const { runs = USUAL_RUNS, packWeights } = form;
      if (device === "cpu" && rewritingPays(original, runs, costs)) {
        const fast = compile(original, { kind: "fast" }, device, machine);
        if (fitsMemory(fast.predictMemory(), machine)) return fast;
      }
      return compile(original, { kind: "plain", packWeights }, device, machine);
    }
    case "plain":
    case "half": {
      const { kind, packWeights } = form;
      const program = onnxForm(kind === "half" ? toHalfPrecision(original) : original);
      const memory = memoryOf(program, packWeights ? "packed" : "mapped");
      return { program, kind, session: { ...NO_ARENA, packWeights }, blocked: false, predictMemory: memory };
    }
    case "fast": {
      const program = onnxForm(
        rewriteFaster(original, costs === undefined ? {} : { chooseWinograd: winogradChooser(costs) }),
      );
      // Many short operators that move much memory: an arena is as fast as a plan, and takes less memory than both. And
      // programs that are to be fast take copies of weights; depthwise convolutions need several times as long without.
      const session = { ...ARENA, packWeights: true };
      return { program, kind: "fast", session, blocked: false, predictMemory: memoryOf(program, "rewritten") };
    }
    case "int8": {
      const program = onnxForm(toInt8(original, form.ranges, form.inParts));
      const memory = memoryOf(program, "int8");
      const session = { ...NO_ARENA, packWeights: false };
      return { program, kind: "int8", session, blocked: false, predictMemory: memory };
    }
    case "stateful": {
      // It runs thousands of times: mapping its memory anew at each run took a sixth of a training step. What is computed from
      // weights can't be computed once, so the program stays as it is.
      const memory = memoryOf(original, "stateful");
      const blocked = form.blocked && device === "cpu";
      const session = { ...ARENA, packWeights: true };
      return { program: original, kind: "stateful", session, blocked, predictMemory: memory };
    }
  }
}
