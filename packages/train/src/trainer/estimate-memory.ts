/**
 * How much memory a program needs, from its graph: every value lives from where it is computed to where it is last read.
 *
 * The order is that of the graph, which a runtime may change, and scratch memory of convolutions isn't known here: an estimate, to
 * tell gigabytes from hundreds of them before a run is started.
 */
import { byteSize, type Program, sizeOf, staticShape, topologicalOrder, type Value } from "@dcae/core/graph";

export interface MemoryEstimate {
  /** Parameters that don't change. */
  readonly frozen: number;
  /** What is updated, twice: an update is written beside what it is computed from. */
  readonly state: number;
  /** Largest sum of the other values that live at one time. */
  readonly activations: number;
  readonly total: number;
}

const bytesOf = (shape: readonly number[], dtype: Value["dtype"]) => sizeOf(shape) * byteSize(dtype);

/** The value whose memory `value` is a view of. */
function storageOf(value: Value): Value {
  let base = value;
  while (base.op === "reshape") base = base.inputs[0] as Value;
  return base;
}

/** Of programs that share a state and run one after the other. */
export function estimateMemory(programs: readonly Program[]): MemoryEstimate {
  const updated = new Set(programs.flatMap((program) => [...program.updates.keys()]));
  const specs = new Map(programs.flatMap((program) => [...program.parameters]));
  let frozen = 0;
  let state = 0;
  for (const { name, shape, dtype } of specs.values()) {
    if (updated.has(name)) state += 2 * bytesOf(shape, dtype);
    else frozen += bytesOf(shape, dtype);
  }
  const activations = Math.max(...programs.map(peakOf));
  return { frozen, state, activations, total: frozen + state + activations };
}

/** Largest sum of the values that live at one time, without parameters and results. */
function peakOf(program: Program): number {
  const results = [...program.outputs.values(), ...program.updates.values()];
  const order = topologicalOrder(results);
  const lastUse = new Map<Value, number>();
  order.forEach((value, i) => {
    for (const input of value.inputs) lastUse.set(storageOf(input), i);
  });
  // Updates go to the state's own memory, which is counted already.
  const kept = new Set<Value>(results.map(storageOf));
  const dying = new Map<number, number>();
  let live = 0;
  let peak = 0;
  order.forEach((value, i) => {
    if (value.op !== "parameter" && value.op !== "reshape" && !kept.has(value)) {
      const bytes = bytesOf(staticShape(value.shape, "memory estimate"), value.dtype);
      live += bytes;
      const end = lastUse.get(value) ?? i;
      dying.set(end, (dying.get(end) ?? 0) + bytes);
    }
    peak = Math.max(peak, live);
    live -= dying.get(i) ?? 0;
  });
  return peak;
}
