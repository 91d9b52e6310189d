/**
 * Gradients of graph functions, for tests only: the package itself doesn't know the autodiff, which lies above it.
 * The source is imported by path, so that the published package has no dependency on it, not even for development.
 */
export { gradients } from "../../../train/src/autodiff/index.js";
