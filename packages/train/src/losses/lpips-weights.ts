/**
 * The published weights of LPIPS (VGG16, version 0.1), as the loss names them (training.md section 5).
 *
 * They come in two files: the five linear layers from the LPIPS package, and the trunk from torchvision's VGG16 classifier. Files
 * that hold both under the loss's own names (a converted one) are taken for both. Nothing is downloaded here.
 */
import { openTorchFile, openWeightsFile, type WeightEntry, type Weights } from "@dcae/core/checkpoint";
import { CheckpointError, createScope, input } from "@dcae/core/graph";
import { closeAll, failClosed } from "@dcae/core/runtime";
import { type LpipsOptions, lpips } from "./lpips.js";

const TRUNK_URL = "https://download.pytorch.org/models/vgg16-397923af.pth";
const LINEAR_URL = "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/vgg.pth";

/** Sums of the published linear weights of version 0.1 (training.md, manifest), which tell them from version 0.0. */
const LINEAR_SUMS = [6.925991535186768, 8.8583345413208, 17.515005111694336, 51.521324157714844, 47.03485107421875];

const HINT =
  `Download ${TRUNK_URL} and ${LINEAR_URL}, and name the files with the environment variables DCAE_VGG16 and DCAE_LPIPS_VGG ` +
  "(`dcae train --vgg16 FILE --lpips FILE`); or do without the perceptual loss (`--perceptual none`).";

export interface LpipsFiles {
  /** torchvision's VGG16, `.pth` or `.safetensors`. Default: the environment variable DCAE_VGG16. */
  readonly trunk?: string | undefined;
  /** The linear layers, `.pth` or `.safetensors`. Default: the environment variable DCAE_LPIPS_VGG. */
  readonly linear?: string | undefined;
}

function open(path: string): Promise<Weights> {
  return /\.(pth|pt|bin)$/i.test(path) ? openTorchFile(path) : openWeightsFile(path);
}

/**
 * Opens the published files and names their tensors below `lpips.`, as the training programs ask for them.
 *
 * @throws CheckpointError when a file isn't given, can't be read, or isn't what it should be; the hint says where to get it
 */
export async function openLpipsWeights(files: LpipsFiles = {}): Promise<Weights> {
  const { trunk = process.env.DCAE_VGG16, linear = process.env.DCAE_LPIPS_VGG } = files;
  if (trunk === undefined || linear === undefined) {
    const missing = [...(trunk === undefined ? ["VGG16"] : []), ...(linear === undefined ? ["the linear layers"] : [])];
    throw new CheckpointError(`LPIPS: no file is given for ${missing.join(" and ")}`, { hint: HINT });
  }
  const opened: Weights[] = [];
  try {
    for (const path of [trunk, linear]) opened.push(await open(path));
    return await lpipsWeights(opened[0] as Weights, opened[1] as Weights);
  } catch (error) {
    return failClosed(
      error,
      opened.map((weights) => () => weights.close()),
    );
  }
}

/**
 * The tensors of LPIPS from those of its files, checked against the published sums.
 *
 * @param trunk names as torchvision's (`features.0.weight`) or as the loss's (`net.slice1.0.weight`)
 * @throws CheckpointError when a tensor is missing, mis-shaped, negative where it can't be, or of another version
 */
export async function lpipsWeights(
  trunk: Weights,
  linear: Weights,
  { widths, sums = LINEAR_SUMS }: Pick<LpipsOptions, "widths"> & { readonly sums?: readonly number[] } = {},
): Promise<Weights> {
  const scope = createScope();
  const image = input("image", [1, 3, 16, 16]);
  lpips(scope, image, image, widths === undefined ? {} : { widths });
  const entries = new Map<string, WeightEntry>();
  for (const { name, shape } of scope.parameters.values()) {
    const isLinear = name.startsWith("lin");
    const source = isLinear ? linear : trunk;
    // The number behind the slice is the position in torchvision's `features`.
    const published = name.replace(/^net\.slice\d\./, "features.");
    const entry = source.entries.get(name) ?? source.entries.get(published);
    if (entry === undefined || entry.shape.join() !== shape.join()) {
      const found = entry === undefined ? "isn't there" : `is [${entry.shape.join(", ")}]`;
      throw new CheckpointError(`${source.source}: "${published}" should be [${shape.join(", ")}] and ${found}`, {
        hint: HINT,
      });
    }
    if (isLinear) checkLinear(source.source, name, (await entry.read()).toFloat32(), sums[Number(name[3])]);
    entries.set(`lpips.${name}`, { ...entry, name: `lpips.${name}` });
  }
  return {
    source: `${trunk.source} and ${linear.source}`,
    entries,
    close: () => closeAll([() => trunk.close(), () => linear.close()]),
  };
}

function checkLinear(source: string, name: string, values: Float32Array, expected: number | undefined): void {
  const sum = values.reduce((total, value) => total + value, 0);
  if (values.some((value) => !(value >= 0))) {
    throw new CheckpointError(`${source}: "${name}" has negative or missing weights, which LPIPS doesn't`, {
      hint: HINT,
    });
  }
  if (expected !== undefined && Math.abs(sum - expected) > 1e-3 * expected) {
    throw new CheckpointError(
      `${source}: "${name}" sums up to ${sum.toPrecision(6)}, the published version 0.1 to ${expected.toPrecision(6)}`,
      { hint: `Version 0.0 differs in its scaling and isn't supported. ${HINT}` },
    );
  }
}
