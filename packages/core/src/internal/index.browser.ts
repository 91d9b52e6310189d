/** What the other packages of this project share with core and a browser has, too. Unstable, as all of `@dcae/core/internal`. */
export * from "../autoencoders/index.browser.js";
export { AutoencoderDC, AutoencoderKL, loadAutoencoder } from "../autoencoders/pretrained.browser.js";
export { checkOptions, type OptionNames } from "../check-options.js";
export { closestName, didYouMean } from "../closest-name.js";
export * from "../errors.js";
export { formatBytes, formatCount, plural } from "../format-amount.js";
export * from "../parallel/index.js";
export { printable, printableLine } from "../printable.js";
export { median, quantile, type RunTimes, summarizeTimes } from "../quantile.js";
export { unlessAborted } from "../runtime/close-all.js";
export { createLoadedCache, createProgramCache, type ProgramCache } from "../runtime/loaded-cache.js";
