/**
 * What the other packages of this project share with core: the pieces behind the autoencoders, and how errors and names are
 * shown. Unstable: it changes with any release, without notice. Programs take `@dcae/core` and the entries of its areas.
 */
export * from "../autoencoders/index.js";
export * from "../errors.js";
export { formatTable } from "../format-table.js";
export { printable, printableLine } from "../printable.js";
export { median, quantile, type RunTimes, summarizeTimes } from "../quantile.js";
export { createLoadedCache, createProgramCache, type ProgramCache } from "../runtime/loaded-cache.js";
export { unlessAborted } from "../runtime/unless-aborted.js";
