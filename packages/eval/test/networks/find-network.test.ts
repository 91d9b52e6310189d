import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { tensorEntries, writeSafetensorsFile } from "@dcae/core/checkpoint";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, it } from "vitest";
import {
  findNetwork,
  inspectNetworks,
  MissingWeightsError,
  NETWORK_FILES,
  searchFolders,
} from "../../src/networks/find-network.node.js";
import { goldenJson } from "../support/golden.js";

const folder = temporaryFolder();
const nowhere = { XDG_CACHE_HOME: join(folder, "cache") };
let trunk: string;
let lin: string;

async function write(name: string, tensors: Record<string, Tensor>): Promise<string> {
  const path = join(folder, name);
  await writeSafetensorsFile(path, tensorEntries(Object.entries(tensors)));
  return path;
}

beforeAll(async () => {
  trunk = await write("trunk.safetensors", {
    "features.0.weight": Tensor.full([2], 1),
    "features.3.bias": Tensor.full([2], 2),
    "features.10.weight": Tensor.full([2], 3),
    "classifier.1.weight": Tensor.full([2], 4),
  });
  const sums = goldenJson("manifest_lpips_alex")["sum_of_published_lin_weights_v0.1"] as number[];
  lin = await write(
    "lin.safetensors",
    Object.fromEntries(sums.map((sum, i) => [`lin${i}.model.1.weight`, Tensor.full([1, 1, 1, 1], sum)])),
  );
});

describe("findNetwork", () => {
  it("says what is missing and how to get it", async () => {
    const error = await findNetwork("inception", { environment: nowhere }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MissingWeightsError);
    const { message, hint, network } = error as MissingWeightsError;
    expect(network).toBe("inception");
    expect(message).toMatch(/FID Inception aren't here \(pt_inception-2015-12-05-6726825d\.pth\)/);
    expect(hint).toMatch(
      /^Download https:\/\/github\.com\/mseitzer\/pytorch-fid\/.* or set DCAE_INCEPTION to its path/,
    );
  });

  it("joins the trunk and the linear weights under our names", async () => {
    const files = { DCAE_ALEXNET: trunk, DCAE_LPIPS_ALEX: lin };
    const found = await findNetwork("lpips-alex", { files, environment: nowhere });
    expect([...found.weights.entries.keys()].sort()).toEqual([
      ...[0, 1, 2, 3, 4].map((i) => `lin${i}.model.1.weight`),
      "net.slice1.0.weight",
      "net.slice2.3.bias",
      "net.slice5.10.weight",
    ]);
    expect(found.files.map(({ path, published }) => [path, published])).toEqual([
      [trunk, false],
      [lin, false],
    ]);
    await found.weights.close();
  });

  it("refuses linear weights that aren't those of version 0.1", async () => {
    const tensors = [0, 1, 2, 3, 4].map((i) => [`lin${i}.model.1.weight`, Tensor.full([1, 1, 1, 1], 1)]);
    const files = {
      DCAE_ALEXNET: trunk,
      DCAE_LPIPS_ALEX: await write("other.safetensors", Object.fromEntries(tensors)),
    };
    await expect(findNetwork("lpips-alex", { files, environment: nowhere })).rejects.toThrow(
      /"lin0\.model\.1\.weight" sums up to 1\.00000, the published version 0\.1 to 2\.34953/,
    );
  });

  it("refuses a .pth file that isn't the published one, unless told to take it", async () => {
    const path = join(folder, "inception.pth");
    writeFileSync(path, "not the network");
    const files = { DCAE_INCEPTION: path };
    await expect(findNetwork("inception", { files, environment: nowhere })).rejects.toThrow(
      /inception\.pth: isn't the published file: its SHA-256 is [0-9a-f]{64}, not 6726825d/,
    );
    await expect(findNetwork("inception", { files, environment: nowhere, verify: "skip" })).rejects.toThrow(
      /not a file of torch\.save/,
    );
  });

  it("looks into the caches, and trusts a variable more than them", async () => {
    const cache = join(nowhere.XDG_CACHE_HOME, "dcae", "metrics");
    mkdirSync(cache, { recursive: true });
    await write("cache/dcae/metrics/clip-vit-large-patch14-336.safetensors", {
      "vision_model.a": Tensor.full([1], 1),
      "text_model.b": Tensor.full([1], 1),
      logit_scale: Tensor.full([1], 1),
    });
    const found = await findNetwork("clip", { environment: nowhere });
    expect([...found.weights.entries.keys()]).toEqual(["vision_model.a"]);
    await found.weights.close();
    const environment = { ...nowhere, DCAE_CLIP: join(folder, "absent.bin") };
    await expect(findNetwork("clip", { environment })).rejects.toThrow(/DCAE_CLIP: there is no file .*absent\.bin/);
  });

  it("looks into the caller's folder first, and where PyTorch keeps its downloads last", () => {
    const environment = { TORCH_HOME: "/torch", XDG_CACHE_HOME: "/c", DCAE_METRICS: "/m" };
    expect(searchFolders({ folder: "/f", environment })).toEqual([
      "/f",
      "/m",
      join("/c", "dcae", "metrics"),
      join("/torch", "hub", "checkpoints"),
    ]);
  });

  it("lists every file of every network: where it is, or where it comes from", async () => {
    const place = join(folder, "own");
    mkdirSync(place);
    writeFileSync(join(place, "vgg16-397923af.pth"), "another file of that name");
    const files = await inspectNetworks({ folder: place, environment: { XDG_CACHE_HOME: join(folder, "nothing") } });
    expect(files).toHaveLength(Object.values(NETWORK_FILES).flat().length);
    const found = files.filter(({ path }) => path !== undefined);
    expect(found).toEqual([
      expect.objectContaining({
        network: "lpips-vgg",
        metrics: ["lpips"],
        path: join(place, "vgg16-397923af.pth"),
        published: false,
      }),
    ]);
    expect(files[0]).toMatchObject({ network: "inception", variable: "DCAE_INCEPTION" });
    expect(files[0]?.url).toMatch(/^https:/);
  });
});
