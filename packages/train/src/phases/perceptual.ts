/** The perceptual part of the reconstruction objective: LPIPS, or the distance in the features of another trained network. */
import type { Scope, Value } from "@dcae/core/graph";
import { type FeatureNetwork, type FeatureOptions, featureDistance, type LpipsOptions, lpips } from "@dcae/core/nets";

/** A distance of pictures in the features of a trained network, whose weights stay what they are. */
export interface Perceptual {
  /** Of its metric. */
  readonly name: "lpips" | "features";
  /** For plans. */
  readonly label: string;
  /** Of pictures a and b [N, 3, H, W] in [-1, 1], [N]; its parameters are below its own place in the root scope. */
  readonly distance: (root: Scope, a: Value, b: Value) => Value;
}

/** Where the parameters of LPIPS are: below `lpips`. */
export const LPIPS_SCOPE = "lpips";
/** Where those of another network are. */
export const FEATURES_SCOPE = "features";

/** LPIPS, by default that of VGG16. */
export function lpipsPerceptual(options: LpipsOptions = {}): Perceptual {
  return {
    name: "lpips",
    label: "LPIPS",
    distance: (root, a, b) => lpips(root.at(LPIPS_SCOPE), a, b, options).distance,
  };
}

/** The distance in the features of any network (`featureDistance`). */
export function featurePerceptual(network: FeatureNetwork, options: FeatureOptions = {}): Perceptual {
  const { layers = network.lastLayers() } = options;
  return {
    name: "features",
    label: `features of ${network.source} (${layers.join(", ")})`,
    distance: (root, a, b) => featureDistance(root.at(FEATURES_SCOPE), network, a, b, { ...options, layers }),
  };
}
