/** Public names of the graph: tensors, values, ops, scopes, programs. */

export * from "../errors.js";
export { type Analysis, analyze, cutsOf } from "./analyze.js";
export { build, OP_NAMES } from "./build.js";
export { composite, rebuild } from "./composites/composite.js";
export type * from "./composites/composite-row.js";
export { COMPOSITE_NAMES, compositeRow, composites } from "./composites/composite-table.js";
export { countMacs } from "./count-macs.js";
export * from "./dim.js";
export { allocate, byteSize, DTYPES, type DType, dtypeKind, isDType, type Storage, type StorageOf } from "./dtype.js";
export { decodeFloats, encodeFloats, isNarrowFloat, type NarrowFloat } from "./float-formats.js";
export { graphMapper, inlineComposites, inliner, mapGraph, mapProgram, type Rewrite } from "./map-graph.js";
export { type OpTraits, opTraits } from "./op-traits.js";
export * from "./ops/composites.js";
export * from "./ops/elementwise.js";
export * from "./ops/layout.js";
export * from "./ops/leaves.js";
export * from "./ops/linear.js";
export * from "./ops/quantization.js";
export * from "./ops/reduce.js";
export { fastPixelShuffle, fastPixelUnshuffle } from "./ops/shuffles.js";
export type { Initializer, ParameterSpec } from "./parameter.js";
export { philox4x32, type Words2, type Words4 } from "./philox.js";
export { createProgram, type Program } from "./program.js";
export { createRandom, type Random, streamNumber } from "./random.js";
export { cpuComposites } from "./rewrite/cpu-composites.js";
export { fastShuffles } from "./rewrite/fast-shuffles.js";
export { beforeQuantization, toInt8 } from "./rewrite/int8.js";
export { mergeRanges, RANGES_OUTPUT, withRanges } from "./rewrite/observe-ranges.js";
export { type OptimizeOptions, optimize } from "./rewrite/optimize.js";
export {
  type ActivationRanges,
  type ConvRanges,
  gridOf,
  quantizeConvolutions,
  type Range,
} from "./rewrite/quantize.js";
export { type ChooseWinograd, type ConvSize, toWinograd } from "./rewrite/winograd.js";
export { chooseWinograd } from "./rewrite/winograd-cost.js";
export type { WinogradTile } from "./rewrite/winograd-matrices.js";
export { isSmall } from "./rewrite/winograd-small.js";
export { createScope, ONES, type ParameterOptions, type RootScope, type Scope, ZEROS } from "./scope.js";
export { type NestedNumbers, rowMajorStrides, type SliceRange, sizeOf, Tensor } from "./tensor.js";
export { dependents, inputsOf, parametersOf, topologicalOrder } from "./traverse.js";
export type * from "./value.js";
