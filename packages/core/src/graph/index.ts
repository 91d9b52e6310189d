/** Public names of the graph: tensors, values, ops, scopes, programs. */

export * from "../errors.js";
export {
  type Analysis,
  analyze,
  countMacs,
  cutsOf,
  dependents,
  inputsOf,
  parametersOf,
  topologicalOrder,
} from "./analyze.js";
export { build, OP_NAMES } from "./build.js";
export { COMPOSITE_NAMES, composite, compositeRow, composites, rebuild } from "./composites/composite.js";
export type * from "./composites/composite-row.js";
export * from "./dim.js";
export {
  allocate,
  byteSize,
  DTYPES,
  type DType,
  decodeFloats,
  dtypeKind,
  encodeFloats,
  isDType,
  isNarrowFloat,
  type NarrowFloat,
  type Storage,
  type StorageOf,
} from "./dtype.js";
export { graphMapper, inlineComposites, inliner, mapGraph, mapProgram, type Rewrite } from "./map-graph.js";
export { type OpTraits, opTraits } from "./op-traits.js";
export * from "./ops/composites.js";
export * from "./ops/elementwise.js";
export * from "./ops/layout.js";
export { fastPixelShuffle, fastPixelUnshuffle } from "./ops/layout.js";
export * from "./ops/linear.js";
export { createProgram, type Program } from "./program.js";
export { createRandom, philox4x32, type Random, streamNumber, type Words2, type Words4 } from "./random.js";
export {
  CPU_COSTS,
  type CpuCosts,
  chooseWinograd,
  INSTRUCTION_SETS,
  type InstructionSet,
  rewritingPays,
  winogradChooser,
} from "./rewrite/cpu-costs.js";
export { cpuComposites, fastShuffles, type OptimizeOptions, optimize } from "./rewrite/optimize.js";
export {
  type ActivationRanges,
  type ConvRanges,
  gridOf,
  mergeRanges,
  quantizeConvolutions,
  type Range,
  toInt8,
  withRanges,
} from "./rewrite/quantize.js";
export { type ChooseWinograd, type ConvSize, isSmall, toWinograd } from "./rewrite/winograd.js";
export type { WinogradTile } from "./rewrite/winograd-matrices.js";
export { createScope, ONES, type ParameterOptions, type RootScope, type Scope, ZEROS } from "./scope.js";
export { type NestedNumbers, rowMajorStrides, type SliceRange, sizeOf, Tensor } from "./tensor.js";
export type * from "./value.js";
export type { Initializer, ParameterSpec } from "./value.js";
