/** The EfficientViT block: linear attention, then gated convolution, each with an identity shortcut (dcae.md 2.6). */
import { add } from "../graph/ops/elementwise.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import { gluMbConv } from "./glumb-conv.js";
import { liteMla } from "./lite-mla.js";
import type { BlockOptions } from "./res-block.js";

export interface EfficientVitOptions extends BlockOptions {
  readonly headDim: number;
  readonly scales?: readonly number[];
  readonly normQk?: boolean;
}

export function efficientVitBlock(scope: Scope, x: Value, options: EfficientVitOptions): Value {
  const attended = add(liteMla(scope.at("context_module").at("main"), x, options), x);
  return add(gluMbConv(scope.at("local_module").at("main"), attended, options), attended);
}
