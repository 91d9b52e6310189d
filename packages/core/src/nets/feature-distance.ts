/**
 * The distance of two pictures in the features of any trained network: 1 less the cosine of the angle between their feature vectors, as
 * mean over the positions of each layer, and over the layers. It is 0 for the same picture and at most 1 where features aren't negative.
 *
 * LPIPS (lpips.ts) is such a distance of one network with weights for every channel, which were fitted to people's judgments, and with a
 * sum over the layers. Without such weights all channels count alike; nobody has compared the result with what people see.
 */
import { add, div, mul, reduceMean, reduceSum, sqrt, square, sub } from "../graph/ops/elementwise.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import type { FeatureNetwork } from "./layers-network.js";

/** How a network sees pictures. */
export interface FeatureOptions {
  /** Default: the last of each resolution (`lastLayers`). */
  readonly layers?: readonly string[] | undefined;
  /** The values that the network takes for black and white. Default [0, 1]. */
  readonly range?: readonly [black: number, white: number] | undefined;
}

/** Outputs [N, C, h, w] of the layers for pictures x [N, 3, H, W] in [-1, 1]; see `FeatureNetwork.features`. */
export function pictureFeatures(
  scope: Scope,
  network: FeatureNetwork,
  x: Value,
  options: FeatureOptions = {},
): Value[] {
  const { layers = network.lastLayers(), range: [black, white] = [0, 1] } = options;
  const half = (white - black) / 2;
  return network.features(scope, half === 1 && black === -1 ? x : add(mul(x, half), black + half), layers);
}

/** Keeps derivatives finite where all features of a position are 0. */
const EPS = 1e-8;

const direction = (features: Value) =>
  div(features, sqrt(add(reduceSum(square(features), 1, { keepDims: true }), EPS)));

/**
 * Distances [N] of pictures a and b [N, 3, H, W] in [-1, 1]; parameters below `scope`.
 *
 * @throws as `FeatureNetwork.features`
 * @example
 * ```ts no-run
 * import { openLayersModel } from "@dcae/core/checkpoint";
 * import { createProgram, createScope, input } from "@dcae/core/graph";
 * import { featureDistance, layersNetwork } from "@dcae/core/nets";
 *
 * const network = layersNetwork(await openLayersModel("inception")); // a folder with model.json
 * const [a, b] = [input("a", [1, 3, 128, 128]), input("b", [1, 3, 128, 128])];
 * const distance = featureDistance(createScope(), network, a, b);
 * const program = createProgram("distance", { distance }); // run it with network.weights
 * ```
 */
export function featureDistance(
  scope: Scope,
  network: FeatureNetwork,
  a: Value,
  b: Value,
  options: FeatureOptions = {},
): Value {
  const others = pictureFeatures(scope, network, b, options);
  const terms = pictureFeatures(scope, network, a, options).map((features, i) => {
    const difference = square(sub(direction(features), direction(others[i] as Value)));
    // Half the squared difference of vectors of length 1 is 1 less their cosine.
    return mul(reduceMean(reduceSum(difference, 1), [1, 2]), 0.5 / others.length);
  });
  return terms.reduce((sum, term) => add(sum, term));
}
