/** The published weights of LPIPS as training takes them: two files that the user has, below the scope of the loss. */
import { openTorchFile, openWeightsFile, type Weights } from "@dcae/core/checkpoint";
import { CheckpointError } from "@dcae/core/graph";
import { LPIPS_FILES, lpipsWeights } from "@dcae/core/nets";
import { failClosed } from "@dcae/core/runtime";

const FILES = LPIPS_FILES.vgg;

/** The two files of the perceptual loss. */
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
  const { trunk = process.env[FILES.trunk.variable], linear = process.env[FILES.linear.variable] } = files;
  if (trunk === undefined || linear === undefined) {
    const missing = [...(trunk === undefined ? ["VGG16"] : []), ...(linear === undefined ? ["the linear layers"] : [])];
    throw new CheckpointError(`LPIPS: no file is given for ${missing.join(" and ")}`, {
      hint:
        `Download ${FILES.trunk.url} and ${FILES.linear.url}, and name the files with the environment variables ` +
        `${FILES.trunk.variable} and ${FILES.linear.variable} (\`dcae train --vgg16 FILE --lpips FILE\`); or compare pictures in ` +
        "another network (`--perceptual PATH`), or do without the perceptual loss (`--perceptual none`).",
    });
  }
  const opened: Weights[] = [];
  try {
    for (const path of [trunk, linear]) opened.push(await open(path));
    const weights = await lpipsWeights({ trunk: opened[0] as Weights, linear: opened[1] as Weights });
    const below = [...weights.entries.values()].map((entry) => ({ ...entry, name: `lpips.${entry.name}` }));
    return { ...weights, entries: new Map(below.map((entry) => [entry.name, entry])) };
  } catch (error) {
    return failClosed(
      error,
      opened.map((weights) => () => weights.close()),
    );
  }
}
