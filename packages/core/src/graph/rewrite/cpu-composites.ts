/**
 * Graph to graph: every composite in the form that is fastest on a CPU.
 *
 * Composites that nobody asks for by name later give way to their bodies, so that what rewrites ops sees all there are.
 */
import { maker } from "../composites/composite.js";
import { compositeRow } from "../composites/composite-table.js";
import { mapProgram } from "../map-graph.js";
import type { Program } from "../program.js";

export function cpuComposites(program: Program): Program {
  return mapProgram(program, (value, inputs, keep, inline) => {
    if (value.op !== "composite") return keep();
    const row = compositeRow(value);
    const form = row.cpu?.(value as never, inputs as never, maker(value) as never);
    return form ?? (row.cpu === undefined && (row.channelsLast ?? row.gradient ?? row.lower) ? keep() : inline());
  });
}
