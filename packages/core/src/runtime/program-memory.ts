/**
 * Memory that the CPU engine takes for a program, predicted from its graph: to load it and to run it once.
 *
 * The graph says how large weights and intermediate values are (program-memory.ts); what the runtime makes of that was
 * measured, on dc-ae-f32c32-in-1.0 at several sizes (test/autoencoders/max-memory.soak.test.ts holds limits to it).
 */

import { analyze, dependents } from "../graph/analyze.js";
import { staticShape } from "../graph/dim.js";
import { byteSize } from "../graph/dtype.js";
import { opTraits } from "../graph/op-traits.js";
import type { Program } from "../graph/program.js";
import { sizeOf } from "../graph/tensor.js";
import type { Value } from "../graph/value.js";
import { onnxForm } from "../onnx/lowerings.js";

/** How the engine runs a program. */
type ProgramForm =
  /** As it is, weights used where they lie in a file. */
  | "mapped"
  /** As it is, weights of convolutions copied into another layout. */
  | "packed"
  /** Rewritten, its constants in files. */
  | "rewritten";

interface MemoryFactors {
  /** Bytes while a program is loaded, per byte of its constants. */
  readonly loading: number;
  /** The same once it is loaded. */
  readonly constants: number;
  /** Bytes at run time per predicted byte of intermediate values. */
  readonly activations: number;
  /** Blocks below 32 MB that the C library keeps for itself: so much of the intermediate values, up to `MOST_WASTE_BYTES`. */
  readonly waste: number;
}

const MOST_WASTE_BYTES = 128e6;

const FACTORS: Readonly<Record<ProgramForm, MemoryFactors>> = {
  mapped: { loading: 0, constants: 1, activations: 1, waste: 0.7 },
  packed: { loading: 1.55, constants: 1.3, activations: 1.56, waste: 0 },
  // Weights of what stays a direct convolution are copied. The arena takes blocks of doubling sizes.
  rewritten: { loading: 0, constants: 1.1, activations: 2.25, waste: 0 },
};

/**
 * The caller's tensors aren't counted, the copies of inputs that the engine gets are.
 *
 * @param program in the form in which it will run (optimized or not), of static shapes
 */
export function predictMemory(program: Program, form: ProgramForm): number {
  const { constants, activations } = programMemory(program);
  const factors = FACTORS[form];
  const waste = Math.min(MOST_WASTE_BYTES, factors.waste * activations);
  const running = factors.constants * constants + factors.activations * activations + waste;
  return Math.max(factors.loading * constants, running);
}

// How much memory a program takes while it runs, predicted from its graph.
//
// The runtime executes in the order of the graph and frees a value after its last use. Reshapes share their input's memory,
// ops that work in place (op-traits.ts) write over an operand that nobody needs any more. What runtimes reorder, and scratch
// memory of convolutions, isn't known here.

function bytesOf({ shape, dtype }: Pick<Value, "shape" | "dtype">): number {
  return sizeOf(staticShape(shape, "a prediction of memory")) * byteSize(dtype);
}

export interface ProgramMemory {
  /** Weights that don't change, and what is computed from them at loading, as varying values take them. */
  readonly constants: number;
  /** Parameters that change between runs. */
  readonly state: number;
  /** Most bytes that inputs, intermediate values and outputs take at once, without the state and what it becomes. */
  readonly activations: number;
}

/**
 * @param original with static shapes, in the form in which it will run (optimized or not)
 * @param state names of parameters that change between runs; default: those that the program updates
 */
export function programMemory(
  original: Program,
  state: ReadonlySet<string> = new Set(original.updates.keys()),
): ProgramMemory {
  const program = onnxForm(original);
  const { order } = analyze(program);
  const isState = (value: Value) => value.op === "parameter" && state.has(value.attributes.name);
  const varying = dependents(order, (value) => value.op === "input" || isState(value));
  const held = new Set<Value>();
  for (const value of order) {
    if (varying.has(value)) for (const operand of value.inputs) if (!varying.has(operand)) held.add(operand);
  }
  const sum = (values: Iterable<Pick<Value, "shape" | "dtype">>) =>
    [...values].reduce((total, value) => total + bytesOf(value), 0);
  return {
    constants: sum(held),
    state: sum([...program.parameters.values()].filter(({ name }) => state.has(name))),
    activations: peakOf(
      program,
      order.filter((value) => varying.has(value) && !isState(value)),
    ),
  };
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
