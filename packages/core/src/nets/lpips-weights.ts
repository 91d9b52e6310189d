/**
 * The published weights of LPIPS 0.1: a trunk from torchvision's classifier and five linear layers from the `lpips` package.
 *
 * Neither is shipped or downloaded here. Files that hold tensors under our own names (converted ones) serve as well.
 */
import type { WeightEntry, Weights } from "../checkpoint/weights.js";
import { CheckpointError } from "../errors.js";
import { input } from "../graph/ops/elementwise.js";
import { createScope } from "../graph/scope.js";
import { closeAll } from "../runtime/close-all.js";
import { type LpipsOptions, type LpipsTrunk, lpips, lpipsMinSide, lpipsSliceOf } from "./lpips.js";

/** A published file of weights: how it is found, checked and read. */
export interface NetworkFile {
  /** What the file contributes, for messages. */
  readonly role: string;
  /** File names under which it is looked for. */
  readonly names: readonly string[];
  /** Environment variable that may hold its path. */
  readonly variable: string;
  readonly url: string;
  /** Of the file as published; PyTorch's own file names carry its first eight digits. */
  readonly sha256: string;
  /** Our name for a tensor of the file, or undefined for those that aren't needed. */
  readonly rename: (name: string) => string | undefined;
}

/** torchvision's `features.N` is `net.sliceS.N` in the lpips package. */
const trunkNames =
  (trunk: LpipsTrunk) =>
  (name: string): string | undefined => {
    if (name.startsWith("net.slice")) return name;
    const match = /^features\.(\d+)\.(weight|bias)$/.exec(name);
    const slice = match === null ? undefined : lpipsSliceOf(trunk, Number(match[1]));
    return slice === undefined ? undefined : `net.slice${slice}.${match?.[1]}.${match?.[2]}`;
  };

const linearNames = (name: string): string | undefined => (/^lin\d\.model\.1\.weight$/.test(name) ? name : undefined);

const linearUrl = (trunk: LpipsTrunk) =>
  `https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/${trunk}.pth`;

export const LPIPS_FILES: Readonly<Record<LpipsTrunk, { readonly trunk: NetworkFile; readonly linear: NetworkFile }>> =
  {
    alex: {
      trunk: {
        role: "AlexNet trunk",
        names: ["alexnet-owt-7be5be79.pth", "alexnet.safetensors"],
        variable: "DCAE_ALEXNET",
        url: "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        sha256: "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        rename: trunkNames("alex"),
      },
      linear: {
        role: "LPIPS weights for AlexNet",
        names: ["lpips-alex.pth", "lpips_alex.pth", "lpips-alex.safetensors"],
        variable: "DCAE_LPIPS_ALEX",
        url: linearUrl("alex"),
        sha256: "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        rename: linearNames,
      },
    },
    vgg: {
      trunk: {
        role: "VGG16 trunk",
        names: ["vgg16-397923af.pth", "vgg16.safetensors"],
        variable: "DCAE_VGG16",
        url: "https://download.pytorch.org/models/vgg16-397923af.pth",
        sha256: "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        rename: trunkNames("vgg"),
      },
      linear: {
        role: "LPIPS weights for VGG16",
        names: ["lpips-vgg.pth", "lpips_vgg.pth", "lpips-vgg.safetensors"],
        variable: "DCAE_LPIPS_VGG",
        url: linearUrl("vgg"),
        sha256: "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        rename: linearNames,
      },
    },
  };

/** Sums of the published linear weights (manifests of training.md and evaluation.md), which tell version 0.1 from 0.0. */
const LINEAR_SUMS: Readonly<Record<LpipsTrunk, readonly number[]>> = {
  alex: [2.34953236579895, 16.143028259277344, 39.26844024658203, 27.19717788696289, 20.317176818847656],
  vgg: [6.925991535186768, 8.8583345413208, 17.515005111694336, 51.521324157714844, 47.03485107421875],
};

/**
 * The linear layers against the published sums: converted files have no known hash, and wrong weights would give plausible
 * wrong distances.
 *
 * @throws CheckpointError when one is missing, negative where it can't be, or of another version
 */
export async function checkLpipsLinear(
  trunk: LpipsTrunk,
  { source, entries }: Pick<Weights, "source" | "entries">,
): Promise<void> {
  const hint = `Version 0.0 differs in its scaling and isn't supported. Use the weights of version 0.1: ${linearUrl(trunk)}`;
  for (const [i, expected] of LINEAR_SUMS[trunk].entries()) {
    const name = `lin${i}.model.1.weight`;
    const entry = entries.get(name);
    if (entry === undefined) throw new CheckpointError(`${source}: there is no tensor "${name}"`, { hint });
    const values = (await entry.read()).toFloat32();
    if (values.some((value) => !(value >= 0))) {
      throw new CheckpointError(`${source}: "${name}" has negative or missing weights, which LPIPS doesn't`, { hint });
    }
    const sum = values.reduce((total, value) => total + value, 0);
    if (!(Math.abs(sum - expected) <= 1e-4 * expected)) {
      const [got, published] = [sum, expected].map((value) => value.toPrecision(6));
      throw new CheckpointError(`${source}: "${name}" sums up to ${got}, the published version 0.1 to ${published}`, {
        hint,
      });
    }
  }
}

/**
 * The tensors of LPIPS under our names, from those of its two files.
 *
 * @throws CheckpointError when a tensor is missing or mis-shaped, or the linear layers aren't the published ones
 */
export async function lpipsWeights(
  files: { readonly trunk: Weights; readonly linear: Weights },
  { trunk = "vgg", widths }: Pick<LpipsOptions, "trunk" | "widths"> = {},
): Promise<Weights> {
  const scope = createScope();
  const side = lpipsMinSide(trunk);
  const picture = input("picture", [1, 3, side, side]);
  lpips(scope, picture, picture, { trunk, ...(widths === undefined ? {} : { widths }) });
  const entries = new Map<string, WeightEntry>();
  for (const part of ["trunk", "linear"] as const) {
    const { rename, url } = LPIPS_FILES[trunk][part];
    const renamed = new Map([...files[part].entries].map(([name, entry]) => [rename(name), { name, entry }]));
    for (const { name, shape } of scope.parameters.values()) {
      if (name.startsWith("lin") !== (part === "linear")) continue;
      const found = renamed.get(name);
      if (found === undefined || found.entry.shape.join() !== shape.join()) {
        const published = found?.name ?? name.replace(/^net\.slice\d\./, "features.");
        const problem = found === undefined ? "isn't there" : `is [${found.entry.shape.join(", ")}]`;
        throw new CheckpointError(
          `${files[part].source}: "${published}" should be [${shape.join(", ")}] and ${problem}`,
          { hint: `Use the published file, ${url}` },
        );
      }
      entries.set(name, { ...found.entry, name });
    }
  }
  await checkLpipsLinear(trunk, { source: files.linear.source, entries });
  return {
    source: `${files.trunk.source} and ${files.linear.source}`,
    entries,
    close: () => closeAll([() => files.trunk.close(), () => files.linear.close()]),
  };
}
