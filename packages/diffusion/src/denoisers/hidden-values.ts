/** A way to look at the values between the blocks of a denoiser without changing it. */
import type { Value } from "@dcae/core/graph";

/** Called with the parameter path of a block (or the name of a stage) and its output. */
export type OnHidden = (name: string, value: Value) => void;
