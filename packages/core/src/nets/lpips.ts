/**
 * LPIPS 0.1 (Zhang et al. 2018): the distance of two pictures in the features of a trained classifier.
 *
 * With the AlexNet trunk it is the metric of published tables, with VGG16 it is what training uses; values of the two aren't
 * comparable (VGG's are about twice as large). Sources: `training.md` section 5, `evaluation.md` section 8. Parameters have the
 * names of the `lpips` package (`net.slice1.0.weight`, `lin0.model.1.weight`) and are declared as not trainable.
 */

import type { WeightEntry, Weights } from "../checkpoint/weights.js";
import { CheckpointError, ShapeError } from "../errors.js";
import { shapeToString } from "../graph/dim.js";
import {
  add,
  constant,
  div,
  equal,
  input,
  mul,
  reduceMean,
  reduceSum,
  relu,
  sqrt,
  square,
  sub,
  where,
} from "../graph/ops/elementwise.js";
import { conv2d, maxPool2d } from "../graph/ops/linear.js";
import { createScope, type Scope } from "../graph/scope.js";
import { Tensor } from "../graph/tensor.js";
import type { Value } from "../graph/value.js";
import { closeAll } from "../runtime/close-all.js";

/** The network whose features LPIPS compares. */
export type LpipsTrunk = "alex" | "vgg";

/**
 * Where the epsilon of the channel norm stands: `lpips` is f / (sqrt(sum f^2) + 1e-10) (the original package),
 * `official-evaluation` is f / sqrt(1e-8 + sum f^2) (torchmetrics, the metric of the published tables).
 */
export type LpipsNorm = "official-evaluation" | "lpips";

interface ConvSpec {
  /** Position in torchvision's `features`, part of the name. */
  readonly index: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

interface Slice {
  readonly pool: { readonly kernel: number; readonly stride: number } | undefined;
  readonly width: number;
  readonly convs: readonly ConvSpec[];
}

const c3 = (index: number): ConvSpec => ({ index, kernel: 3, stride: 1, padding: 1 });
const alexPool = { kernel: 3, stride: 2 };
const vggPool = { kernel: 2, stride: 2 };

/** Each slice ends at a tap, behind the ReLU of its last convolution. */
const TRUNKS: Readonly<Record<LpipsTrunk, { readonly minSide: number; readonly slices: readonly Slice[] }>> = {
  alex: {
    minSide: 31,
    slices: [
      { pool: undefined, width: 64, convs: [{ index: 0, kernel: 11, stride: 4, padding: 2 }] },
      { pool: alexPool, width: 192, convs: [{ index: 3, kernel: 5, stride: 1, padding: 2 }] },
      { pool: alexPool, width: 384, convs: [c3(6)] },
      { pool: undefined, width: 256, convs: [c3(8)] },
      { pool: undefined, width: 256, convs: [c3(10)] },
    ],
  },
  vgg: {
    minSide: 16,
    slices: [
      { pool: undefined, width: 64, convs: [c3(0), c3(2)] },
      { pool: vggPool, width: 128, convs: [c3(5), c3(7)] },
      { pool: vggPool, width: 256, convs: [c3(10), c3(12), c3(14)] },
      { pool: vggPool, width: 512, convs: [c3(17), c3(19), c3(21)] },
      { pool: vggPool, width: 512, convs: [c3(24), c3(26), c3(28)] },
    ],
  },
};

/** The shortest side that a trunk takes. */
export function lpipsMinSide(trunk: LpipsTrunk): number {
  return TRUNKS[trunk].minSide;
}

/** Which slice of the `lpips` package a layer of torchvision's `features` belongs to, from 1. */
function lpipsSliceOf(trunk: LpipsTrunk, index: number): number | undefined {
  const slice = TRUNKS[trunk].slices.findIndex(({ convs }) => convs.some((conv) => conv.index === index));
  return slice < 0 ? undefined : slice + 1;
}

/** Per RGB channel, on pictures in [-1, 1]. */
const SHIFT = [-0.03, -0.088, -0.188];
const SCALE = [0.458, 0.448, 0.45];

/** Which LPIPS, and how wide. */
export interface LpipsOptions {
  /** Default "vgg". */
  readonly trunk?: LpipsTrunk;
  /** Default "lpips". */
  readonly norm?: LpipsNorm;
  /** Widths of the five taps; the published ones by default. */
  readonly widths?: readonly number[];
}

/** LPIPS as values of a graph. */
export interface LpipsValue {
  /** Per picture, [N]. */
  readonly distance: Value;
  /** What each tap adds to it, [N] each. */
  readonly terms: readonly Value[];
  /** Features of the first pictures. */
  readonly taps: readonly Value[];
}

/**
 * Distances of pictures a and b [N, 3, H, W] in [-1, 1]; parameters below `scope`.
 *
 * @throws ShapeError when they aren't pictures, or shorter than the trunk takes
 * @example
 * ```ts
 * import { createProgram, createScope, input } from "@dcae/core/graph";
 * import { lpips } from "@dcae/core/nets";
 *
 * const [a, b] = [input("a", [1, 3, 64, 64], "float32"), input("b", [1, 3, 64, 64], "float32")];
 * const { distance } = lpips(createScope().at("lpips"), a, b, { trunk: "alex" });
 * const program = createProgram("lpips", { distance }); // its weights are published files: LPIPS_FILES
 * ```
 */
export function lpips(scope: Scope, a: Value, b: Value, options: LpipsOptions = {}): LpipsValue {
  const { norm = "lpips" } = options;
  const taps = lpipsFeatures(scope, a, options);
  const others = lpipsFeatures(scope, b, options);
  const terms = taps.map((tap, i) => {
    const difference = square(sub(normalized(tap, norm), normalized(others[i] as Value, norm)));
    const shape = [1, tap.shape[1] as number, 1, 1];
    const weight = scope.at(`lin${i}.model.1`).parameter("weight", shape, { trainable: false });
    return reduceMean(reduceSum(mul(difference, weight), 1), [1, 2]);
  });
  return { distance: terms.reduce((sum, term) => add(sum, term)), terms, taps };
}

/** LPIPS averaged over the batch, a scalar. */
export function lpipsLoss(scope: Scope, a: Value, b: Value, options: LpipsOptions = {}): Value {
  return reduceMean(lpips(scope, a, b, options).distance);
}

/** The five taps of pictures x. */
function lpipsFeatures(scope: Scope, x: Value, { trunk = "vgg", widths }: LpipsOptions): Value[] {
  const { minSide, slices } = TRUNKS[trunk];
  const [, channels, height, width] = x.shape;
  if (x.shape.length !== 4 || channels !== 3 || (height as number) < minSide || (width as number) < minSide) {
    throw new ShapeError(
      `lpips (${trunk}): needs pictures [N, 3, H, W] with sides of at least ${minSide}, got ${shapeToString(x.shape)}`,
    );
  }
  const perChannel = (values: readonly number[]) => constant(Tensor.float32(values, [1, 3, 1, 1]));
  let y = div(sub(x, perChannel(SHIFT)), perChannel(SCALE));
  return slices.map(({ pool, width: published, convs }, i) => {
    const outChannels = widths?.[i] ?? published;
    if (pool !== undefined) y = maxPool2d(y, pool.kernel, { stride: pool.stride });
    for (const { index, kernel, stride, padding } of convs) {
      const place = scope.at(`net.slice${i + 1}.${index}`);
      const shape = [outChannels, y.shape[1] as number, kernel, kernel];
      const weight = place.parameter("weight", shape, { trainable: false });
      const bias = place.parameter("bias", [outChannels], { trainable: false });
      y = relu(conv2d(y, weight, { bias, stride, padding }));
    }
    return y;
  });
}

/** Unit length over channels; 0 where all channels are 0, with a finite derivative. */
function normalized(tap: Value, norm: LpipsNorm): Value {
  const energy = reduceSum(square(tap), 1, { keepDims: true });
  if (norm === "official-evaluation") return div(tap, sqrt(add(energy, 1e-8)));
  // The root's derivative at 0 is infinite, and 0 times that isn't a number.
  return div(tap, add(sqrt(where(equal(energy, 0), 1, energy)), 1e-10));
}

// The published weights of LPIPS 0.1: a trunk from torchvision's classifier and five linear layers from the `lpips` package.
//
// Neither is shipped or downloaded here. Files that hold tensors under our own names (converted ones) serve as well.

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

/** The published files of LPIPS, by trunk: names, addresses and SHA-256. */
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
