/**
 * Finds, checks and opens the weights of a metric network, and those of all networks that a run needs.
 *
 * A file is taken from the caller's options, an environment variable, the folder named by DCAE_METRICS, our cache, or the
 * cache of PyTorch, in this order. It is a safetensors file or the original of `torch.save`, which is read without executing it.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { CheckpointError, ConfigError } from "@dcae/core";
import { openSafetensorsFile, openTorchFile, type WeightEntry, type Weights } from "@dcae/core/checkpoint";
import type { DcaeErrorOptions } from "@dcae/core/graph";
import { checkLpipsLinear, LPIPS_FILES, type NetworkFile } from "@dcae/core/nets";
import { closeAll, failClosed } from "@dcae/core/runtime";
import { METRICS, type Metric, type MetricNetwork } from "../protocols/metrics.js";

/** Thrown where a file isn't found, so that runners can leave its metrics out and say why. */
export class MissingWeightsError extends ConfigError {
  override readonly name: string = "MissingWeightsError";
  readonly network: MetricNetwork;

  constructor(network: MetricNetwork, message: string, options: DcaeErrorOptions) {
    super(message, options);
    this.network = network;
  }
}

/** Where the weights of the metrics' networks are looked for. */
export interface FindNetworkOptions {
  /** Paths by the names of the environment variables, as in { DCAE_INCEPTION: "/data/inception.pth" }. */
  readonly files?: Readonly<Record<string, string>> | undefined;
  /** Folder in which files are looked for by their names, before all others. */
  readonly folder?: string | undefined;
  /** `sha256` (default) refuses .pth and .bin files that aren't the published ones; `skip` takes any. */
  readonly verify?: "sha256" | "skip" | undefined;
  /** For tests: replaces process.env. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** A file that was used, as it is stored in results. */
export interface UsedFile {
  readonly path: string;
  readonly sha256: string;
  /** Whether it is the published file, byte for byte. */
  readonly published: boolean;
}

export interface NetworkWeights {
  readonly network: MetricNetwork;
  /** Under our names; tensors that the network doesn't need are left out. */
  readonly weights: Weights;
  readonly files: readonly UsedFile[];
}

/**
 * The weights of a network.
 *
 * @throws MissingWeightsError that says how to obtain the file; CheckpointError when a file is damaged or another one
 */
export async function findNetwork(network: MetricNetwork, options: FindNetworkOptions = {}): Promise<NetworkWeights> {
  const entries = new Map<string, WeightEntry>();
  const opened: Weights[] = [];
  const files: UsedFile[] = [];
  const close = async () => {
    await closeAll(opened.map((weights) => () => weights.close()));
  };
  try {
    for (const file of NETWORK_FILES[network]) {
      const path = await locateFile(file, options);
      if (path === undefined) throw missing(network, file, options);
      const used = await verify(path, file, options);
      files.push(used);
      const weights = await open(path);
      opened.push(weights);
      for (const [name, entry] of weights.entries) {
        const renamed = file.rename(name);
        if (renamed !== undefined) entries.set(renamed, { ...entry, name: renamed });
      }
    }
    if (options.verify !== "skip" && network.startsWith("lpips-")) {
      const linear = { source: files.at(-1)?.path ?? network, entries };
      await checkLpipsLinear(network === "lpips-alex" ? "alex" : "vgg", linear);
    }
  } catch (error) {
    return failClosed(error, [close]);
  }
  return { network, weights: { source: files.map(({ path }) => path).join(" + "), entries, close }, files };
}

/** Folders in which files are looked for, the first one first. */
export function searchFolders({ folder, environment = process.env }: FindNetworkOptions = {}): string[] {
  const { DCAE_METRICS, TORCH_HOME } = environment;
  const named = [folder, DCAE_METRICS].filter((path) => path !== undefined);
  const cache = cacheFolder(environment);
  return [...named, metricsFolder(environment), join(TORCH_HOME ?? join(cache, "torch"), "hub", "checkpoints")];
}

/** Where downloaded files are best put. */
export function metricsFolder(environment: FindNetworkOptions["environment"] = process.env): string {
  return join(cacheFolder(environment), "dcae", "metrics");
}

function cacheFolder({ XDG_CACHE_HOME }: NonNullable<FindNetworkOptions["environment"]>): string {
  return XDG_CACHE_HOME ?? join(homedir(), ".cache");
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * The path of a file, or undefined when it isn't here.
 *
 * @throws CheckpointError when a path that was named outright leads nowhere
 */
async function locateFile(file: NetworkFile, options: FindNetworkOptions): Promise<string | undefined> {
  const { files = {}, environment = process.env } = options;
  const chosen = files[file.variable] ?? environment[file.variable];
  if (chosen !== undefined) {
    if (await exists(chosen)) return chosen;
    throw new CheckpointError(`${file.variable}: there is no file ${chosen}`, { hint: "Check the path." });
  }
  for (const folder of searchFolders(options)) {
    for (const name of file.names) {
      const path = join(folder, name);
      if (await exists(path)) return path;
    }
  }
  return undefined;
}

function missing(network: MetricNetwork, file: NetworkFile, { environment }: FindNetworkOptions): MissingWeightsError {
  const path = join(metricsFolder(environment), file.names[0] as string);
  return new MissingWeightsError(network, `the weights of the ${file.role} aren't here (${file.names[0]})`, {
    hint: `Download ${file.url} to ${path}, or set ${file.variable} to its path.`,
  });
}

/** SHA-256 of a file in hexadecimal digits. */
async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path, { highWaterMark: 4 * 2 ** 20 })) hash.update(piece as Uint8Array);
  return hash.digest("hex");
}

async function verify(path: string, file: NetworkFile, options: FindNetworkOptions): Promise<UsedFile> {
  const sha256 = await sha256Of(path);
  const published = sha256 === file.sha256;
  if (!published && options.verify !== "skip" && !path.endsWith(".safetensors")) {
    throw new CheckpointError(`${path}: isn't the published file: its SHA-256 is ${sha256}, not ${file.sha256}`, {
      hint: `Download ${file.url} again. If you know what it is, skip the check (--unverified-weights, verify: "skip").`,
    });
  }
  return { path, sha256, published };
}

async function open(path: string): Promise<Weights> {
  return path.endsWith(".safetensors") ? openSafetensorsFile(path) : openTorchFile(path);
}

/** The metrics that need a network. */
function metricsWith(network: MetricNetwork): readonly Metric[] {
  return (Object.keys(METRICS) as Metric[]).filter((metric) => network.split("-")[0] === METRICS[metric].network);
}

export interface InspectedFile {
  readonly network: MetricNetwork;
  readonly metrics: readonly Metric[];
  /** What the file contributes. */
  readonly role: string;
  /** Name under which it is looked for first. */
  readonly name: string;
  /** Environment variable that may hold its path. */
  readonly variable: string;
  readonly url: string;
  /** SHA-256 of the published file. */
  readonly sha256: string;
  /** Where it was found. */
  readonly path?: string;
  /** Of the file that was found: whether it is the published one, byte for byte. */
  readonly published?: boolean;
}

/**
 * Looks for every file of every network and hashes what it finds (seconds per gigabyte).
 *
 * @throws CheckpointError when a path that was named outright leads nowhere
 */
export async function inspectNetworks(options: FindNetworkOptions = {}): Promise<InspectedFile[]> {
  const inspected: InspectedFile[] = [];
  for (const [network, files] of Object.entries(NETWORK_FILES) as [MetricNetwork, (typeof NETWORK_FILES)["clip"]][]) {
    for (const file of files) {
      const { role, names, variable, url, sha256 } = file;
      const path = await locateFile(file, options);
      const found = path === undefined ? {} : { path, published: (await sha256Of(path)) === sha256 };
      const name = names[0] as string;
      inspected.push({ network, metrics: metricsWith(network), role, name, variable, url, sha256, ...found });
    }
  }
  return inspected;
}

// The published files of the metric networks: names, origin, SHA-256, and how their tensors map to our names. None of them can
// be shipped here or is fetched silently. Hashes are those of the files as published.

/** Our names are the names in the file. */
const same = (name: string): string => name;

export const NETWORK_FILES: Readonly<Record<MetricNetwork, readonly NetworkFile[]>> = {
  inception: [
    {
      role: "FID Inception",
      names: [
        "pt_inception-2015-12-05-6726825d.pth",
        "weights-inception-2015-12-05-6726825d.pth",
        "inception.safetensors",
      ],
      variable: "DCAE_INCEPTION",
      url: "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
      sha256: "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
      rename: same,
    },
  ],
  "lpips-alex": [LPIPS_FILES.alex.trunk, LPIPS_FILES.alex.linear],
  "lpips-vgg": [LPIPS_FILES.vgg.trunk, LPIPS_FILES.vgg.linear],
  clip: [
    {
      role: "CLIP ViT-L/14 at 336 pixels",
      names: ["clip-vit-large-patch14-336.bin", "clip-vit-large-patch14-336.safetensors"],
      variable: "DCAE_CLIP",
      url: "https://huggingface.co/openai/clip-vit-large-patch14-336/resolve/main/pytorch_model.bin",
      sha256: "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
      rename: (name) => (name.startsWith("vision_model.") || name.startsWith("visual_projection.") ? name : undefined),
    },
  ],
};

// The networks that a run needs. Those whose weights aren't here are named with their metrics, not taken as 0.

/** A metric that wasn't computed, and why. */
export interface MissingMetric {
  readonly metric: Metric;
  readonly reason: string;
  readonly hint?: string;
}

export interface UsedNetwork {
  readonly network: MetricNetwork;
  readonly files: readonly UsedFile[];
}

export interface OpenedNetworks {
  readonly weights: ReadonlyMap<MetricNetwork, Weights>;
  readonly used: readonly UsedNetwork[];
  readonly missing: readonly MissingMetric[];
  /** Warnings about files that aren't known to be the published ones. */
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

/**
 * Opens networks.
 *
 * @param needed the network of each metric that needs one
 * @throws CheckpointError when a file is there but damaged or another one than published
 */
export async function openNetworks(
  needed: ReadonlyMap<Metric, MetricNetwork>,
  options: FindNetworkOptions,
): Promise<OpenedNetworks> {
  const weights = new Map<MetricNetwork, Weights>();
  const used: UsedNetwork[] = [];
  const missing: MissingMetric[] = [];
  const warnings: string[] = [];
  const close = async () => {
    await closeAll([...weights.values()].map((opened) => () => opened.close()));
  };
  try {
    for (const network of new Set(needed.values())) {
      const metrics = [...needed].filter(([, other]) => other === network).map(([metric]) => metric);
      try {
        const found = await findNetwork(network, options);
        weights.set(network, found.weights);
        used.push({ network, files: found.files });
        for (const { path, published } of found.files) {
          if (!published) warnings.push(unverified(path));
        }
      } catch (error) {
        if (!(error instanceof MissingWeightsError)) throw error;
        const hint = error.hint === undefined ? {} : { hint: error.hint };
        missing.push(...metrics.map((metric) => ({ metric, reason: error.message, ...hint })));
      }
    }
  } catch (error) {
    return failClosed(error, [close]);
  }
  return { weights, used, missing, warnings, close };
}

/** What results say about a file that isn't known. */
export function unverified(path: string): string {
  return `${path} isn't the published file, byte for byte; its content wasn't verified`;
}

/** SHA-256 of all files of a network, as results and statistics files store them. */
export function fingerprintsOf(used: readonly UsedNetwork[], network: MetricNetwork): string[] {
  return used.filter((entry) => entry.network === network).flatMap(({ files }) => files.map(({ sha256 }) => sha256));
}
