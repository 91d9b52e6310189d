/**
 * The memory of programs, predicted from their graphs: bytes of tensors, and what a process on the CPU takes for them. Limits of
 * memory and the plans of trainings ask here.
 *
 * The runtime executes in the order of the graph and frees a value after its last use, since models on the CPU are written so that
 * it does (`freeEarly`, onnx/lower-program.ts); of trainings, which aren't, the factor below counts what stays longer. Reshapes share their input's memory,
 * ops that work in place (op-traits.ts) write over an operand that nobody needs any more. What the runtime makes of the tensors was
 * measured: of inference on dc-ae-f32c32-in-1.0 at several sizes (bench/memory.bench.mjs repeats it), of
 * training on small models. What runtimes reorder, and scratch memory of convolutions, isn't known here.
 */
import { analyze, dependents } from "../graph/analyze.js";
import { staticShape } from "../graph/dim.js";
import { byteSize } from "../graph/dtype.js";
import { opTraits } from "../graph/op-traits.js";
import type { Program } from "../graph/program.js";
import { sizeOf } from "../graph/tensor.js";
import type { Value } from "../graph/value.js";
import { onnxForm } from "../onnx/lowerings.js";
import { inPlaceUpdates } from "./in-place-updates.js";

/** How the engine runs programs. */
type ProgramForm =
  /** As they are, weights used where they lie in a file. */
  | "mapped"
  /** As they are, weights of convolutions copied into another layout. */
  | "packed"
  /** Rewritten, constants in files. */
  | "rewritten"
  /** With convolutions of 8 bits, constants in files. */
  | "int8"
  /** With parameters that change between runs. */
  | "stateful";

interface MemoryFactors {
  /** What is taken before any program is loaded; in trainings also by what brings the data. */
  readonly base: number;
  /** Bytes while a program is loaded, per byte of its constants. */
  readonly loading: number;
  /** The same once it is loaded. */
  readonly constants: number;
  /** Bytes at run time per predicted byte of intermediate values. */
  readonly activations: number;
  /** Blocks below 32 MB that the C library keeps for itself: so much of the intermediate values, up to `MOST_WASTE_BYTES`. */
  readonly waste: number;
}

/** What Node, this library and the runtime take themselves. */
export const BASE_BYTES = 110e6;

/**
 * A limit is kept although predictions are off: what has to fit takes this much less. What the runtime's kernels copy of weights and
 * inputs, and what the allocator keeps, depends on the processor and its instruction set, the number of threads and the sizes.
 */
export const MEMORY_MARGIN = 1.35;

const MOST_WASTE_BYTES = 160e6;

const FACTORS: Readonly<Record<ProgramForm, MemoryFactors>> = {
  mapped: { base: BASE_BYTES, loading: 0, constants: 1, activations: 1, waste: 1.1 },
  packed: { base: BASE_BYTES, loading: 1.55, constants: 1.3, activations: 1.56, waste: 0 },
  // Weights of what stays a direct convolution are copied. The arena takes blocks of doubling sizes.
  rewritten: { base: BASE_BYTES, loading: 0, constants: 1.1, activations: 2.25, waste: 0 },
  // Weights are packed for the kernels, beside the files; kernels unfold pictures.
  int8: { base: BASE_BYTES, loading: 0, constants: 2, activations: 4.3, waste: 0.7 },
  stateful: { base: 270e6, loading: 0, constants: 1.3, activations: 1.25, waste: 0 },
};

/** What an update takes beside the state: the new values, where they can't be written over the old ones, and the copy that the
 * runtime's binding answers with, unless koffi is there. */
const UPDATE_COPIES = 2;
const IN_PLACE_COPIES = 1;

function bytesOf({ shape, dtype }: Pick<Value, "shape" | "dtype">): number {
  return sizeOf(staticShape(shape, "a prediction of memory")) * byteSize(dtype);
}

/** Bytes that programs take which share weights and a state, and run one after the other. */
export interface ProgramMemory {
  /** Weights that don't change, and what is computed from them at loading, as varying values take them. */
  readonly constants: number;
  /** Parameters that change between runs. */
  readonly state: number;
  /** Most bytes that inputs, intermediate values and outputs take at once, without the state and what it becomes. */
  readonly activations: number;
  /**
   * What the process takes to load the programs and to run them, without `base`. The caller's tensors aren't counted, the copies of
   * inputs that the engine gets are.
   */
  readonly running: number;
  /** What the process takes before any program is loaded. */
  readonly base: number;
}

/**
 * @param originals with static shapes, in the form in which they will run (optimized or not)
 * @param form default: stateful where a program updates parameters, otherwise as they are
 */
/** The bytes that programs hold and take while they run, estimated from their graphs. */
export function programMemory(originals: Program | readonly Program[], form?: ProgramForm): ProgramMemory {
  const programs = [originals].flat() as readonly Program[];
  const state = new Set(programs.flatMap(({ updates }) => [...updates.keys()]));
  const isState = (value: Value) => value.op === "parameter" && state.has(value.attributes.name);
  // Parameters of one name are one, whichever program they stand in.
  const held = new Map<unknown, number>();
  const changing = new Map<string, number>();
  const copied = new Map<string, number>();
  let activations = 0;
  for (const program of programs.map(onnxForm)) {
    const { order } = analyze(program);
    const varying = dependents(order, (value) => value.op === "input" || isState(value));
    const needed = order.filter((value) => varying.has(value)).flatMap(({ inputs }) => inputs);
    for (const value of needed.filter((operand) => !varying.has(operand))) {
      held.set(value.op === "parameter" ? value.attributes.name : value, bytesOf(value));
    }
    for (const spec of program.parameters.values()) if (state.has(spec.name)) changing.set(spec.name, bytesOf(spec));
    const inPlace = inPlaceUpdates(program);
    for (const [name, value] of program.updates) {
      const copies = inPlace.has(name) ? IN_PLACE_COPIES : UPDATE_COPIES;
      copied.set(name, Math.max(copied.get(name) ?? 0, copies * bytesOf(value)));
    }
    const steps = order.filter((value) => varying.has(value) && !isState(value));
    activations = Math.max(activations, peakOf(program, steps));
  }
  const sum = (bytes: Iterable<number>) => [...bytes].reduce((total, next) => total + next, 0);
  const tensors = { constants: sum(held.values()), state: sum(changing.values()), activations };
  const factors = FACTORS[form ?? (state.size > 0 ? "stateful" : "packed")];
  const waste = Math.min(MOST_WASTE_BYTES, factors.waste * activations);
  const loaded = factors.constants * tensors.constants + tensors.state + sum(copied.values());
  const running = Math.max(factors.loading * tensors.constants, loaded + factors.activations * activations + waste);
  return { ...tensors, running, base: factors.base };
}

/** Largest sum of the values of `steps` that live at one time. */
function peakOf(program: Program, steps: readonly Value[]): number {
  // Values that share memory have one owner; it is free after the last use of any of them.
  const owner = new Map<Value, Value>();
  const ownerOf = (value: Value) => owner.get(value) ?? value;
  const isView = (value: Value) => opTraits[value.op].view === true;
  for (const value of steps) if (isView(value)) owner.set(value, ownerOf(value.inputs[0] as Value));
  const lastUse = new Map<Value, number>();
  steps.forEach((value, step) => {
    for (const operand of value.inputs) lastUse.set(ownerOf(operand), step);
  });
  for (const value of program.outputs.values()) lastUse.set(ownerOf(value), steps.length);
  // Updates go to the state's own memory.
  const stored = new Set([...program.updates.values()].map(ownerOf));

  let live = 0;
  let peak = 0;
  const size = new Map<Value, number>();
  steps.forEach((value, step) => {
    const freed = [...new Set(value.inputs.map(ownerOf))].filter(
      (operand) => size.has(operand) && lastUse.get(operand) === step,
    );
    if (!isView(value) && !stored.has(value)) {
      const bytes = bytesOf(value);
      const inPlace = opTraits[value.op].inPlace === true;
      const reused = inPlace ? freed.find((operand) => size.get(operand) === bytes) : undefined;
      size.set(value, bytes);
      live += bytes;
      peak = Math.max(peak, reused === undefined ? live : live - bytes);
    }
    for (const operand of freed) live -= size.get(operand) ?? 0;
  });
  return peak;
}
