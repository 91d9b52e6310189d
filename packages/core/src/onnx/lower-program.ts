/**
 * A program as an ONNX model.
 *
 * Each op has a row in `lowerings`. Composites are one operator where their row says so. Parameters become initializers (inline or
 * external) or runtime inputs, as the caller decides per parameter. Updates become outputs named `update.<parameter>`.
 *
 * Values are lowered once each, in topological order, so the node list is deterministic for a given graph.
 */
import { EngineError } from "../errors.js";
import { dependents, topologicalOrder } from "../graph/analyze.js";
import { type Dim, dimEqual, isStaticShape, shapeEqual, symbol, symbolsOf } from "../graph/dim.js";
import type { DType } from "../graph/dtype.js";
import { opTraits } from "../graph/op-traits.js";
import type { Program } from "../graph/program.js";
import { Tensor } from "../graph/tensor.js";
import type { OpName, ParameterSpec, Value, ValueOf } from "../graph/value.js";
import { blockedLayout } from "./blocked-layout.js";
import { type AttributeLike, type Lowering, type LoweringContext, lowerings, onnxForm } from "./lowerings.js";
import {
  type ExternalData,
  type OnnxAttribute,
  type OnnxInitializer,
  type OnnxModel,
  type OnnxNode,
  type OnnxValueInfo,
  onnxDataType,
} from "./model-proto.js";

/** A range of a file that holds a parameter in a narrower dtype, which the runtime widens when it loads the model. */
interface NarrowData extends ExternalData {
  readonly storedAs: DType;
}

/** How a parameter appears in the model. */
export type ParameterBinding = Tensor | ExternalData | NarrowData | "input";

/** Name of the ONNX output that carries the new value of a parameter. */
export function updateName(parameter: string): string {
  return `update.${parameter}`;
}

function toAttribute(value: AttributeLike): OnnxAttribute {
  if (typeof value === "number") return { type: "int", value };
  if (typeof value === "string") return { type: "string", value };
  return "type" in value ? value : { type: "ints", value };
}

interface LowerOptions {
  /**
   * Channels per block of the runtime's own layout, for a model that only that runtime will ever see (see blocked-layout.ts).
   * Default: the model keeps to ONNX's own operators.
   */
  readonly block?: number | undefined;
  /**
   * Whether memory is given back as soon as a value is dead. The runtime keeps it for the next value of the same shape, however long
   * it takes until there is one: the widest intermediate values of a stage stay through all of its blocks. So the first sizes get
   * names, and values that mustn't share memory differ in theirs. Default false: shapes are written as they are.
   */
  readonly freeEarly?: boolean | undefined;
}

/**
 * Lowers `program`.
 *
 * @param bind says for each parameter whether it is stored in the model, referenced, or given at each run
 * @throws EngineError when a symbolic dimension can't be read off any input
 * @example
 * ```ts
 * import { createProgram, input, relu } from "@dcae/core/graph";
 * import { encodeModel, lowerProgram } from "@dcae/core/onnx";
 *
 * const program = createProgram("relu", { y: relu(input("x", [1, 8], "float32")) });
 * const bytes = encodeModel(lowerProgram(program, () => "input"));
 * console.log(bytes.length); // an ONNX file
 * ```
 */
export function lowerProgram(
  original: Program,
  bind: (spec: ParameterSpec) => ParameterBinding,
  { block, freeEarly = false }: LowerOptions = {},
): OnnxModel {
  const program = onnxForm(original);
  const nodes: OnnxNode[] = [];
  const initializers: OnnxInitializer[] = [];
  const inputs: OnnxValueInfo[] = [];
  const names = new Map<Value, string>();
  const intVectors = new Map<string, string>();
  const symbols = new Map<string, string>();
  let counter = 0;
  let prefix = "";

  const emit: LoweringContext["emit"] = (opType, nodeInputs, attributes = {}, domain = undefined) => {
    // Names carry the closest parameter, so that errors and profiles of the runtime point into the model.
    const name = `${prefix}${opType}_${counter++}`;
    const converted = Object.entries(attributes).map(([key, value]) => [key, toAttribute(value)] as const);
    nodes.push({
      opType,
      domain,
      name,
      inputs: nodeInputs,
      outputs: [name],
      attributes: Object.fromEntries(converted),
    });
    return name;
  };
  const constant: LoweringContext["constant"] = (tensor) => {
    const name = `constant_${counter++}`;
    initializers.push({ name, dtype: tensor.dtype, shape: tensor.shape, data: tensor });
    return name;
  };
  const ints: LoweringContext["ints"] = (values) => {
    const key = values.join();
    let name = intVectors.get(key);
    if (name === undefined) {
      name = constant(new Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]));
      intVectors.set(key, name);
    }
    return name;
  };
  /** The value of a symbol as an int64 vector of one element: an input's size divided by its factor. */
  const symbolValue = (symbol: string): string => {
    const known = symbols.get(symbol);
    if (known !== undefined) return known;
    for (const [inputName, { shape }] of program.inputs) {
      const axis = shape.findIndex((dim) => typeof dim !== "number" && dim.symbols.join() === symbol);
      const dim = shape[axis];
      if (dim === undefined || typeof dim === "number") continue;
      const size = emit("Shape", [inputName], { start: axis, end: axis + 1 });
      const value = dim.factor === 1 ? size : emit("Div", [size, ints([dim.factor])]);
      symbols.set(symbol, value);
      return value;
    }
    throw new EngineError(`no input of "${program.name}" has an axis that determines "${symbol}"`);
  };
  const dimVector = (dim: Dim): string => {
    if (typeof dim === "number") return ints([dim]);
    const product = symbolsOf([dim])
      .map(symbolValue)
      .reduce((a, b) => emit("Mul", [a, b]));
    return dim.factor === 1 ? product : emit("Mul", [product, ints([dim.factor])]);
  };
  const shape: LoweringContext["shape"] = (dims) => {
    if (isStaticShape(dims)) return ints(dims);
    const [only] = dims;
    if (only !== undefined && dims.length === 1) return dimVector(only);
    return emit("Concat", dims.map(dimVector), { axis: 0 });
  };
  const reshape: LoweringContext["reshape"] = (x, dims, from = []) => {
    // For Reshape alone, 0 is the input's size of the same axis, unless it is to be a size, and -1 what is left.
    if (dims.includes(0)) return emit("Reshape", [x, shape(dims)], { allowzero: 1 });
    if (freeEarly && isStaticShape(dims) && dims.length > 0) return emit("Reshape", [x, ints([-1, ...dims.slice(1)])]);
    const copied = dims.map((dim, axis) => {
      const source = from[axis];
      return typeof dim !== "number" && source !== undefined && dimEqual(dim, source) ? 0 : dim;
    });
    const unknown = copied.filter((dim) => typeof dim !== "number");
    if (unknown.length !== 1) return emit("Reshape", [x, shape(copied)]);
    return emit("Reshape", [x, ints(copied.map((dim) => (typeof dim === "number" ? dim : -1)))]);
  };
  const nameOf = (value: Value) => names.get(value) as string;
  const blocked =
    block === undefined
      ? undefined
      : blockedLayout(
          { emit, ints },
          {
            block,
            nameOf,
            isConstant: (value) => !varying.has(value),
          },
        );
  const context: LoweringContext = { emit, constant, ints, shape, reshape, nameOf, blocked };

  const results = new Map([
    ...[...program.outputs],
    ...[...program.updates].map(([name, value]) => [updateName(name), value] as const),
  ]);
  const order = topologicalOrder([...results.values()]);
  const isGiven = (value: Value) =>
    value.op === "input" || (value.op === "parameter" && bind(value.attributes) === "input");
  /** Values that depend on what is given at a run. */
  const varying = dependents(order, isGiven);
  const splits = findSplits(order);
  /** All parts at once; each is known by its name when its turn comes. */
  const lowerSplit = ({ source, axis, parts }: Split): void => {
    const name = `${prefix}Split_${counter++}`;
    const outputs = parts.map((_, i) => `${name}:${i}`);
    const sizes = ints(parts.map((part) => part.shape[axis] as number));
    const inputNames = [nameOf(source), sizes];
    nodes.push({
      opType: "Split",
      name,
      inputs: inputNames,
      outputs,
      attributes: { axis: { type: "int", value: axis } },
    });
    parts.forEach((part, i) => {
      names.set(part, outputs[i] as string);
    });
  };

  function lower(value: Value): string {
    switch (value.op) {
      case "input": {
        const { name, dtype } = value.attributes;
        inputs.push({ name, dtype, shape: freeEarly ? named(value.shape, `size of ${name}`) : value.shape });
        return name;
      }
      case "parameter": {
        const { name, dtype, shape: size } = value.attributes;
        const binding = bind(value.attributes);
        if (binding === "input") {
          inputs.push({ name, dtype, shape: size });
          return name;
        }
        if (!("storedAs" in binding)) {
          initializers.push({ name, dtype, shape: size, data: binding });
          return name;
        }
        const { storedAs, ...data } = binding;
        initializers.push({ name, dtype: storedAs, shape: size, data });
        prefix = `${name}/`;
        return emit("Cast", [name], { to: onnxDataType(dtype) });
      }
      case "constant":
        return constant(value.attributes.tensor);
      default: {
        prefix = value.path === "" ? "" : `${value.path}/`;
        const split = splits.get(value);
        if (split !== undefined && !names.has(value)) lowerSplit(split);
        if (split !== undefined) return nameOf(value);
        const inputNames = value.inputs.map(nameOf);
        // The table's row fits the value by construction; TypeScript can't correlate the two unions.
        const row = lowerings[value.op] as Lowering<OpName>;
        return row(value as never, inputNames, context);
      }
    }
  }

  for (const value of order) names.set(value, lower(value));
  const steps = freeEarly ? order.filter((value) => varying.has(value) && value.inputs.length > 0) : [];
  const sizes = memoryNames(steps);
  prefix = "";
  const renamed = new Map<string, string>();
  const outputs = [...results].map(([name, value]): OnnxValueInfo => {
    const source = nameOf(value);
    // Inputs and parameters as they are, and a value under a second name, need a node of their own. Others take the output's
    // name: the runtime then computes them in the output's memory instead of copying them there.
    if (value.inputs.length > 0 && !renamed.has(source)) renamed.set(source, name);
    else {
      nodes.push({ opType: "Identity", name: `output/${name}`, inputs: [source], outputs: [name], attributes: {} });
    }
    return { name, dtype: value.dtype, shape: value.shape };
  });
  const rename = (list: readonly string[]) => list.map((name) => renamed.get(name) ?? name);
  const all = nodes.map((node) => ({ ...node, inputs: rename(node.inputs), outputs: rename(node.outputs) }));
  const { used, kept } = usedNodes(all, outputs);
  const values = steps
    .map((value) => ({ value, name: nameOf(value) }))
    .filter(({ name }) => used.has(name) && !renamed.has(name));
  return {
    graphName: program.name,
    nodes: kept,
    initializers: initializers.filter(({ name }) => used.has(name)),
    values: values.map(({ value, name }) => {
      return { name, dtype: value.dtype, shape: named(value.shape, sizes.get(value) as string) };
    }),
    inputs,
    outputs,
  };
}

/** A shape whose first size has a name instead. */
function named(shape: readonly Dim[], name: string): readonly Dim[] {
  return shape.length > 0 && typeof shape[0] === "number" ? [symbol(name), ...shape.slice(1)] : shape;
}

/** A name for the first size of each value: the same for those that are written over an operand that nobody needs any more. */
function memoryNames(steps: readonly Value[]): Map<Value, string> {
  const lastUse = new Map<Value, Value>();
  for (const value of steps) for (const operand of value.inputs) lastUse.set(operand, value);
  const sizes = new Map<Value, string>();
  for (const value of steps) {
    const over = value.inputs.find((operand) => {
      return lastUse.get(operand) === value && shapeEqual(operand.shape, value.shape) && sizes.has(operand);
    });
    const inPlace = opTraits[value.op].inPlace === true && over !== undefined ? sizes.get(over) : undefined;
    sizes.set(value, inPlace ?? `size ${sizes.size}`);
  }
  return sizes;
}

/** Nodes that outputs depend on, in their order, and the names that are read. A lowering may do without what it stands on. */
function usedNodes(
  nodes: readonly OnnxNode[],
  outputs: readonly OnnxValueInfo[],
): { readonly used: ReadonlySet<string>; readonly kept: OnnxNode[] } {
  const used = new Set(outputs.map(({ name }) => name));
  const kept: OnnxNode[] = [];
  for (const node of [...nodes].reverse()) {
    if (!node.outputs.some((name) => used.has(name))) continue;
    kept.push(node);
    for (const name of node.inputs) used.add(name);
  }
  return { used, kept: kept.reverse() };
}

// Slices that cut one value into consecutive parts, found so that they become one ONNX Split.
//
// The graph has slices only, since its ops have one result each. The runtime joins some of them by itself, but not those it
// evaluates when it loads a model: there every slice costs a copy of the whole value (64 slices of 64 MB took seconds).

interface Split {
  readonly source: Value;
  readonly axis: number;
  /** The parts from first to last. */
  readonly parts: readonly Value[];
}

interface Part {
  readonly value: ValueOf<"slice">;
  readonly start: number;
  readonly stop: number;
}

/** The axis and range of a slice along one axis without gaps. */
function partOf(value: ValueOf<"slice">): { readonly axis: number; readonly part: Part } | undefined {
  const { axes, starts, stops, steps } = value.attributes;
  const [axis, start, stop] = [axes[0], starts[0], stops[0]];
  if (axes.length !== 1 || steps[0] !== 1 || axis === undefined || start === undefined || stop === undefined) return;
  return { axis, part: { value, start, stop } };
}

/** Each slice that belongs to a split, with its split. Values are those of a program, inputs before users. */
function findSplits(values: readonly Value[]): Map<Value, Split> {
  const bySource = new Map<Value, Map<number, Part[]>>();
  for (const value of values) {
    if (value.op !== "slice") continue;
    const found = partOf(value);
    if (found === undefined) continue;
    const axes = bySource.get(value.inputs[0]) ?? new Map<number, Part[]>();
    bySource.set(value.inputs[0], axes);
    axes.set(found.axis, [...(axes.get(found.axis) ?? []), found.part]);
  }
  const splits = new Map<Value, Split>();
  for (const [source, axes] of bySource) {
    for (const [axis, parts] of axes) {
      parts.sort((a, b) => a.start - b.start);
      const bounds = [0, ...parts.map(({ stop }) => stop)];
      const whole = bounds.at(-1) === source.shape[axis] && parts.every(({ start }, i) => start === bounds[i]);
      if (!whole || parts.length < 2) continue;
      const split: Split = { source, axis, parts: parts.map(({ value }) => value as Value) };
      for (const part of split.parts) splits.set(part, split);
    }
  }
  return splits;
}
