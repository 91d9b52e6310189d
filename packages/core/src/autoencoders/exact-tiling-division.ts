/**
 * The ways to divide a program into a part that runs whole and a part that runs in tiles.
 *
 * The whole part is the deep end, where pictures are small. In an encoder the tiled part comes first, in a decoder last.
 */
import { ConfigError } from "../errors.js";
import { inlineComposites, mapProgram } from "../graph/map-graph.js";
import { input } from "../graph/ops/elementwise.js";
import { createProgram, type Program } from "../graph/program.js";
import { sizeOf } from "../graph/tensor.js";
import type { Grid } from "../graph/tiling/pixel-layout.js";
import { cutValues, valuesBetween } from "../graph/tiling/tile-program.js";
import { tileOf } from "../graph/tiling/tile-rules.js";
import type { Value } from "../graph/value.js";
import { outlinePasses, SEAM, type TilePass } from "./exact-tiling-passes.js";

/** A program with one input and one output. */
export interface Ends {
  readonly program: Program;
  readonly x: Value;
  readonly y: Value;
  /** The grid of the latent, which tile borders keep to. */
  readonly cells: Grid;
  /** Whether the output is the smaller one. */
  readonly encodes: boolean;
}

export interface Division {
  /** Which part is tiled. */
  readonly tiled: "first" | "last";
  /** The other part; undefined where everything is tiled. */
  readonly whole: Program | undefined;
  /** The value between the two. */
  readonly seam: Value;
  readonly passes: readonly TilePass[];
}

export const bytesOf = (value: Value): number => 4 * sizeOf(value.shape as readonly number[]);

const gridOf = (value: Value): Grid => value.shape.slice(2) as unknown as Grid;

/** @throws ConfigError for other programs than pictures to latents or back */
export function programEnds(original: Program): Ends {
  // What can't be computed in tiles as a whole may be in parts.
  const program = inlineComposites(original, (value) => tileOf(value) !== undefined);
  const [x, ...otherInputs] = program.inputs.values();
  const [y, ...otherOutputs] = program.outputs.values();
  if (x === undefined || y === undefined || otherInputs.length + otherOutputs.length > 0) {
    throw new ConfigError(`exact tiling: "${program.name}" must have one input and one output`);
  }
  const [first, last] = [gridOf(x as Value), gridOf(y)];
  const encodes = first[0] > last[0];
  return { program, x: x as Value, y, cells: encodes ? last : first, encodes };
}

/** The program from `value` on, as a function of an input in its place. */
function programAfter(program: Program, value: Value): Program {
  const seam = input(SEAM, value.shape, value.dtype);
  return mapProgram(
    program,
    (_current, _inputs, keep) => keep(),
    (current) => (current === value ? seam : undefined),
  );
}

/** Every division between two blocks, those that keep more whole first. */
export function* divisions({ program, x, y, cells, encodes }: Ends): Generator<Division> {
  const values = valuesBetween(x, y);
  const users = new Map<Value, number>();
  for (const { inputs } of values) {
    for (const operand of inputs) users.set(operand, (users.get(operand) ?? 0) + 1);
  }
  // Blocks begin where a value goes into a branch and past it.
  const isBorder = (value: Value) => value === x || value === y || (users.get(value) ?? 0) > 1;
  const cuts = cutValues({ source: x, target: y, values }).filter(isBorder);
  for (const seam of encodes ? cuts.slice(1) : cuts.slice(0, -1).reverse()) {
    const passes = encodes ? outlinePasses(x, seam, cells) : outlinePasses(seam, y, cells);
    if (passes === undefined) continue;
    if (encodes) {
      yield { tiled: "first", whole: seam === y ? undefined : programAfter(program, seam), seam, passes };
    } else {
      const whole = seam === x ? undefined : createProgram(program.name, { [SEAM]: seam });
      yield { tiled: "last", whole, seam, passes };
    }
  }
}

/**
 * Elements of the two buffers that take turns to hold what passes make. What the last one makes is handed on, and isn't among
 * them.
 */
export function seamBuffers(passes: readonly TilePass[]): readonly [number, number] {
  const sizes: [number, number] = [0, 0];
  let made = 0;
  for (const { picture } of passes.slice(0, -1)) {
    if (picture === undefined) continue;
    const turn = made++ % 2;
    sizes[turn] = Math.max(sizes[turn] as number, bytesOf(picture) / 4);
  }
  return sizes;
}

/** Bytes of pictures on the host during each pass: the caller's input, seams, and the result of the last pass. */
export function heldBytes({ passes }: Division, { x }: Ends): number[] {
  const [even, odd] = seamBuffers(passes);
  return passes.map(({ flow: { source }, picture }, i) => {
    const before = i === 0 && source !== x ? bytesOf(source) : 0;
    const result = i === passes.length - 1 && picture !== undefined ? bytesOf(picture) : 0;
    return bytesOf(x) + before + 4 * (even + odd) + result;
  });
}
