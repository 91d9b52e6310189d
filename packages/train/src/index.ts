/** Training DC-AE: gradients of graphs, losses, optimizers, steps with state, the three phases. */
export * from "./autodiff/index.js";
export * from "./configs/index.js";
export * from "./data/index.js";
export * from "./logging/index.js";
export * from "./losses/index.js";
export * from "./optimizer/index.js";
export * from "./phases/index.js";
export * from "./rewrite/index.js";
export * from "./step/index.js";
export * from "./trainer/index.js";
