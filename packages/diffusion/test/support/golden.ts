/** The golden cases of this package. */
import { type GoldenInfo, goldenFolder, type GoldenCase as SharedCase } from "@dcae/test-support/golden";

export interface DiffusionInfo extends GoldenInfo {
  readonly tensors: Readonly<Record<string, unknown>>;
  /** How many gradients of parameters the case holds. */
  readonly n_grads: number;
}

export type GoldenCase = SharedCase<DiffusionInfo>;

const cases = goldenFolder<DiffusionInfo>(new URL("../golden/", import.meta.url));
export const { path: goldenPath, info: goldenInfo, load: loadGolden } = cases;

/** Names of all cases of a kind, sorted. */
export const goldenNames = (kind: string): string[] => cases.names((info) => info.kind === kind);
