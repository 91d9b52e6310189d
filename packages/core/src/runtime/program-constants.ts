/**
 * What a program computes from its weights, computed apart from it and put into files, which the runtime then maps like a
 * checkpoint.
 *
 * Left to the runtime, every step of every computation stays in memory until all are done: several times what remains. Apart,
 * one group of results after the other is computed, stored and forgotten. Where the files lie and how long they live is up to
 * a `ConstantFiles`.
 */
import { tensorFromBytes, type WeightEntry, type Weights } from "../checkpoint/weights.js";
import { byteSize } from "../graph/dtype.js";
import { createProgram, type Program } from "../graph/program.js";
import { constantRoots, groupByWeights, replaceByWeights } from "../graph/rewrite/constant-roots.js";
import { sizeOf, type Tensor } from "../graph/tensor.js";
import type { Value } from "../graph/value.js";
import { findEntry, INLINE_BYTES, isMappable } from "./bind-weights.js";

/** Computes the outputs of a program without inputs. */
export type Evaluate = (program: Program, weights: Weights) => Promise<Readonly<Record<string, Tensor>>>;

/** Values that are computed together, in one file: each at a multiple of 64 bytes. */
export interface ConstantGroup {
  readonly roots: readonly Value[];
  /** Offset of each root in the file. */
  readonly offsets: readonly number[];
  readonly byteLength: number;
}

export interface ConstantFile {
  /** Distinguishes the group from others in names of weights. */
  readonly name: string;
  readonly path: string;
  read(offset: number, byteLength: number): Promise<Uint8Array>;
}

/** The files of one program. */
export interface ConstantFiles {
  /** Groups with fewer bytes are left to the runtime. */
  readonly minBytes: number;
  /** The file of a group, made from the results of `compute` where it isn't there. */
  store(group: ConstantGroup, weights: Weights, compute: () => Promise<readonly Tensor[]>): Promise<ConstantFile>;
  /** Called when the program was loaded: the runtime opens no more files. */
  loaded(): Promise<void>;
  /** Called when the runtime has let go of the program, or couldn't load it. */
  close(): Promise<void>;
}

export interface PreparedProgram {
  readonly program: Program;
  readonly weights: Weights;
}

const ALIGNMENT = 64;

const bytesOf = ({ shape, dtype }: Value): number => sizeOf(shape as readonly number[]) * byteSize(dtype);

function layOut(roots: readonly Value[]): ConstantGroup {
  const offsets: number[] = [];
  let byteLength = 0;
  for (const root of roots) {
    offsets.push(byteLength);
    byteLength += Math.ceil(bytesOf(root) / ALIGNMENT) * ALIGNMENT;
  }
  return { roots, offsets, byteLength };
}

/** The program as a function of what was computed, and what was computed as weights. */
export async function prepareConstants(
  program: Program,
  weights: Weights,
  evaluate: Evaluate,
  files: ConstantFiles,
): Promise<PreparedProgram> {
  // Constants of the program lie in the model, and weights that the runtime maps as they are need no second file.
  const roots = constantRoots(program, INLINE_BYTES + 1).filter(
    (root) =>
      root.op !== "constant" &&
      !(root.op === "parameter" && isMappable(root.attributes, findEntry(root.attributes.name, weights))),
  );
  const entries = new Map(weights.entries);
  const names = new Map<Value, string>();
  for (const group of groupByWeights(roots).map(layOut)) {
    if (group.byteLength < files.minBytes) continue;
    const file = await files.store(group, weights, () => compute(group.roots, weights, evaluate));
    group.roots.forEach((root, i) => {
      const entry = entryOf(`computed/${file.name}/${i}`, root, file, group.offsets[i] as number);
      names.set(root, entry.name);
      entries.set(entry.name, entry);
    });
  }
  return { program: replaceByWeights(program, names), weights: { ...weights, entries } };
}

async function compute(roots: readonly Value[], weights: Weights, evaluate: Evaluate): Promise<Tensor[]> {
  const outputs = roots.map((root, i) => [`constant/${i}`, root] as const);
  const results = await evaluate(createProgram("constants", Object.fromEntries(outputs)), weights);
  return outputs.map(([name]) => results[name] as Tensor);
}

function entryOf(name: string, root: Value, { path, read }: ConstantFile, offset: number): WeightEntry {
  const { dtype } = root;
  const shape = root.shape as readonly number[];
  const location = { path, offset, byteLength: bytesOf(root) };
  return {
    name,
    dtype,
    shape,
    location,
    read: async () => tensorFromBytes(dtype, shape, await read(offset, location.byteLength)),
  };
}

/** The bytes of a group's file. */
export async function writeGroup(
  { offsets, byteLength }: ConstantGroup,
  tensors: readonly Tensor[],
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  for (const [i, { bytes }] of tensors.entries()) {
    await write(bytes);
    const end = offsets[i + 1] ?? byteLength;
    const padding = end - (offsets[i] as number) - bytes.length;
    if (padding > 0) await write(new Uint8Array(padding));
  }
}
