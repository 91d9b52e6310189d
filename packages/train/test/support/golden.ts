/** The golden cases of this package: those of training, and those of diffusion that are about optimizers. */
import { goldenFolder } from "@dcae/test-support/golden";

const folders = {
  training: goldenFolder(new URL("../golden/training/", import.meta.url)),
  diffusion: goldenFolder(new URL("../golden/diffusion/", import.meta.url)),
};
type GoldenSet = keyof typeof folders;

export const goldenJson = (name: string) => folders.training.json(name);
export const loadGolden = (name: string, set: GoldenSet = "training") => folders[set].load(name);

/** Names of the cases of a kind. */
export const goldenNames = (kind: string, set: GoldenSet = "training") =>
  folders[set].names((info) => info.kind === kind);
