/** The golden cases of this package. */
import { goldenFolder, type RawConfig } from "@dcae/test-support/golden";

const cases = goldenFolder(new URL("../golden/", import.meta.url));
export const { path: goldenPath, json: goldenJson, load: loadGolden } = cases;

/** Names of the cases of a kind whose settings are accepted. */
export const goldenNames = (kind: string, accepts: (config: RawConfig) => boolean = () => true): string[] =>
  cases.names((info) => info.kind === kind && accepts(info.config));
