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
import {
  constantRoots,
  describeExpressions,
  groupByWeights,
  replaceByWeights,
} from "../graph/rewrite/constant-roots.js";
import { sizeOf, type Tensor } from "../graph/tensor.js";
import type { Value } from "../graph/value.js";
import { entryFor, findEntry, INLINE_BYTES, isMappable } from "./bind-weights.js";
import type { FileTensor } from "./session-host.js";

/** A run of a program without inputs whose outputs go into a file. */
export interface ConstantRun {
  /** What stands for the program's parameters, by their names there; empty where the program names them itself. */
  readonly inputs: ReadonlyMap<string, FileTensor>;
  readonly path: string;
  readonly offsets: ReadonlyMap<string, number>;
}

/** Computes the outputs of programs without inputs. */
export interface Evaluate {
  /** The outputs themselves. */
  toTensors(program: Program, weights: Weights): Promise<Readonly<Record<string, Tensor>>>;
  /** Outputs into files, of runs that take other weights in the place of the parameters that `inputs` names. */
  toFiles(program: Program, weights: Weights, runs: readonly ConstantRun[]): Promise<void>;
}

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
  /** The files of groups, made where they aren't there. */
  store(groups: readonly ConstantGroup[], weights: Weights, compute: Compute): Promise<readonly ConstantFile[]>;
  /** Called when the program was loaded: the runtime opens no more files. */
  loaded(): Promise<void>;
  /** Called when the runtime has let go of the program, or couldn't load it. */
  close(): Promise<void>;
}

/** How the files of groups can be made. */
export interface Compute {
  toTensors(group: ConstantGroup): Promise<readonly Tensor[]>;
  /** Writes groups into files that are there already. */
  toFiles(files: ReadonlyMap<string, ConstantGroup>): Promise<void>;
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
  const groups = groupByWeights(roots)
    .map(layOut)
    .filter(({ byteLength }) => byteLength >= files.minBytes);
  const stored = await files.store(groups, weights, {
    toTensors: (group) => toTensors(group, weights, evaluate),
    toFiles: (paths) => toFiles(paths, weights, evaluate),
  });
  groups.forEach((group, at) => {
    const file = stored[at] as ConstantFile;
    group.roots.forEach((root, i) => {
      const entry = entryOf(`computed/${file.name}/${i}`, root, file, group.offsets[i] as number);
      names.set(root, entry.name);
      entries.set(entry.name, entry);
    });
  });
  return { program: replaceByWeights(program, names), weights: { ...weights, entries } };
}

const outputName = (_root: Value, i: number) => `constant/${i}`;

/** A value of the same bytes: the runtime copies what it reshapes for an output. */
function withoutReshapes(root: Value): Value {
  let value = root;
  while (value.op === "reshape") value = value.inputs[0] as Value;
  return value.op === "parameter" || value.op === "constant" ? root : value;
}

/** The program of a group. Outputs have the bytes of the roots, and maybe another shape. */
function programOf({ roots }: ConstantGroup): Program {
  const outputs = roots.map((root, i) => [outputName(root, i), withoutReshapes(root)]);
  return createProgram("constants", Object.fromEntries(outputs));
}

async function toTensors(group: ConstantGroup, weights: Weights, evaluate: Evaluate): Promise<Tensor[]> {
  const results = await evaluate.toTensors(programOf(group), weights);
  return group.roots.map((root, i) => results[outputName(root, i)] as Tensor);
}

// Most groups of a model are the same expression of other weights. Those run in one session that takes the weights as inputs:
// it keeps its memory, which costs more to get anew than what is computed in it, and is made once.

async function toFiles(paths: ReadonlyMap<string, ConstantGroup>, weights: Weights, evaluate: Evaluate): Promise<void> {
  const alike = new Map<string, { readonly program: Program; readonly runs: ConstantRun[] }>();
  for (const [path, group] of paths) {
    const program = programOf(group);
    const offsets = new Map(group.roots.map((root, i) => [outputName(root, i), group.offsets[i] as number]));
    const tensors = weightsInFiles(program, weights);
    if (tensors === undefined) {
      await evaluate.toFiles(program, weights, [{ inputs: new Map(), path, offsets }]);
      continue;
    }
    const key = describeExpressions(group.roots, leafOf);
    const { program: first, runs } = alike.get(key) ?? { program, runs: [] };
    alike.set(key, { program: first, runs });
    // Equal expressions name their parameters in the same order.
    const inputs = new Map([...first.parameters.keys()].map((name, i) => [name, tensors[i] as FileTensor]));
    runs.push({ inputs, path, offsets });
  }
  for (const { program, runs } of alike.values()) await evaluate.toFiles(program, weights, runs);
}

/** The program's parameters, where all of them can be taken from files as they are. */
function weightsInFiles(program: Program, weights: Weights): FileTensor[] | undefined {
  const found: FileTensor[] = [];
  for (const spec of program.parameters.values()) {
    const { location, dtype } = entryFor(spec, weights);
    if (location === undefined || dtype !== "float32" || spec.dtype !== "float32") return undefined;
    found.push({ shape: spec.shape, location });
  }
  return found;
}

/** What distinguishes a leaf of an expression besides its shape and type. */
function leafOf(value: Value): string {
  return value.op === "constant" ? value.attributes.tensor.data.join() : "";
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
