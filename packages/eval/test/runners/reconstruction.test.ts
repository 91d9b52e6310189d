import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { decodeImage, psnrOf } from "@dcae/core/image";
import { useEngine } from "@dcae/test-support/engine";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { writeNetworks } from "@dcae/test-support/network-weights";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, it } from "vitest";
import { ssim } from "../../src/metrics/ssim.js";
import type { FindNetworkOptions } from "../../src/networks/find-network.node.js";
import { resolveProtocol } from "../../src/protocols/protocol.js";
import { readResult, writeResult } from "../../src/results/evaluation-result.node.js";
import {
  evaluateReconstruction,
  type ReconstructionOptions,
  type Reconstructor,
} from "../../src/runners/evaluate-reconstruction.node.js";
import { makeExamples } from "../../src/runners/pick-examples.js";
import { folderSource } from "../../src/sources/folder-source.node.js";
import { formulaPictures, writePictures } from "../support/picture-folder.js";

const engine = useEngine();
const folder = temporaryFolder();
const protocol = resolveProtocol({ split: "test pictures", size: 48 });
let photos: string;
let networks: FindNetworkOptions;

beforeAll(async () => {
  photos = await writePictures(join(folder, "photos"), formulaPictures(7, 60, 48));
  networks = await writeNetworks(folder);
});

/** A model that dims pictures and counts its calls. */
function dimmer(factor: number): Reconstructor & { readonly batches: number[] } {
  const batches: number[] = [];
  return {
    name: `dim ${factor}`,
    fingerprint: String(factor),
    engine: "none",
    batches,
    async reconstruct(pictures) {
      batches.push(pictures.shape[0] as number);
      const dimmed = Tensor.float32(
        pictures.toFloat32().map((value) => (value + 1) * factor - 1),
        pictures.shape,
      );
      return { pictures: dimmed, latent: pictures };
    },
  };
}

/** Options under which no network is found. */
const withoutNetworks = { environment: { XDG_CACHE_HOME: join(folder, "no-cache") } };

async function run(changes: Partial<ReconstructionOptions> = {}) {
  return evaluateReconstruction({
    source: await folderSource(photos, { protocol }),
    model: dimmer(0.9),
    protocol,
    engine,
    weights: withoutNetworks,
    ...changes,
  });
}

describe("evaluateReconstruction", () => {
  it("gives the means over pictures, whatever the batch size", async () => {
    const model = dimmer(0.9);
    const result = await run({ metrics: ["ssim", "psnr"], batchSize: 3, model });
    // The last batch is filled up, so that the model sees one shape.
    expect(model.batches).toEqual([3, 3, 3]);
    const pairs = await Promise.all(
      Array.from({ length: 7 }, async (_, i) => {
        const { data } = await decodeImage(join(photos, `00${i}.png`));
        const crop = new Uint8Array(48 * 48 * 3);
        for (let y = 0; y < 48; y++) crop.set(data.subarray((y * 60 + 6) * 3, (y * 60 + 54) * 3), y * 48 * 3);
        const dimmed = crop.map((value) => {
          const y = Math.fround((Math.fround(Math.fround(value / 255) - 0.5) / 0.5 + 1) * 0.9 - 1);
          return Math.trunc(Math.fround(Math.fround(255 * Math.fround(y * 0.5 + 0.5)) + 0.5));
        });
        return [crop, dimmed] as const;
      }),
    );
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(result.metrics.psnr?.value).toBeCloseTo(mean(pairs.map(([a, b]) => psnrOf(a, b))), 9);
    const size = { width: 48, height: 48 };
    expect(result.metrics.ssim?.value).toBeCloseTo(mean(pairs.map(([a, b]) => ssim(a, b, size).whole)), 5);
    expect(result.metrics.psnr?.count).toBe(7);
    expect(result.perPicture?.names).toEqual([0, 1, 2, 3, 4, 5, 6].map((i) => `00${i}.png`));
    expect(result.pictures).toMatchObject({ count: 7, sizes: { "48x48": 7 }, unusable: [] });
    expect(result.latent?.count).toBe(7 * 3 * 48 * 48);
    expect([result.missing, result.warnings]).toEqual([[], []]);
  });

  it("names metrics whose networks aren't here and computes the others", async () => {
    const result = await run();
    expect(Object.keys(result.metrics)).toEqual(["psnr", "ssim"]);
    expect(result.missing.map(({ metric }) => metric)).toEqual(["lpips", "rfid"]);
    expect(result.missing[0]?.reason).toMatch(/weights of the AlexNet trunk aren't here \(alexnet-owt-7be5be79\.pth\)/);
    expect(result.missing[1]?.hint).toMatch(/^Download https:.* or set DCAE_INCEPTION to its path\.$/);
  });

  it("computes LPIPS and rFID, warns about few pictures, and rFID of a perfect copy is 0", async () => {
    const source = await folderSource(photos, { protocol, limit: 3 });
    const settings = { source, weights: networks };
    const perfect = await run({ ...settings, model: dimmer(1), metrics: ["psnr", "lpips", "rfid"] });
    expect(perfect.metrics.lpips?.value).toBeCloseTo(0, 6);
    expect(perfect.metrics.rfid?.value).toBeCloseTo(0, 6);
    expect(perfect.metrics.psnr).toMatchObject({
      value: Number.POSITIVE_INFINITY,
      note: "3 of 3 pictures came back identical",
    });
    const dimmed = await run({ ...settings, metrics: ["lpips", "rfid"] });
    expect(dimmed.metrics.lpips?.value).toBeGreaterThan(0.001);
    expect(dimmed.metrics.rfid?.value).toBeGreaterThan(0.001);
    expect(dimmed.warnings.some((text) => text.includes("3 images for 2048 dimensions"))).toBe(true);
    expect(dimmed.warnings.some((text) => text.includes("isn't the published file"))).toBe(true);
    expect(dimmed.networks.map(({ network }) => network)).toEqual(["lpips-alex", "inception"]);
  });

  it("keeps infinite values in its JSON file", async () => {
    const result = await run({ model: dimmer(1), metrics: ["psnr"] });
    const path = join(folder, "result.json");
    await writeResult(path, result);
    expect(await readResult(path)).toEqual(result);
  });

  it("goes on where a run was stopped, with the same result", async () => {
    const source = await folderSource(photos, { protocol, limit: 4 });
    const settings = { source, weights: networks, metrics: ["psnr", "rfid"], batchSize: 1, chunkSize: 1 };
    const whole = await run(settings);
    const workFolder = join(folder, "work");
    const stop = new AbortController();
    const first = run({
      ...settings,
      workFolder,
      signal: stop.signal,
      onProgress: ({ done }) => {
        if (done >= 2) stop.abort(new Error("stopped"));
      },
    });
    await expect(first).rejects.toThrow("stopped");
    const files = readdirSync(workFolder).filter((name) => name.endsWith(".safetensors"));
    expect(files.length).toBeGreaterThanOrEqual(1);
    const model = dimmer(0.9);
    let resumed = 0;
    const second = await run({
      ...settings,
      workFolder,
      model,
      onProgress: (progress) => {
        resumed = Math.max(resumed, progress.resumed ?? 0);
      },
    });
    expect(resumed).toBe(files.length);
    expect(model.batches).toHaveLength(4 - files.length);
    expect(second.metrics).toEqual(whole.metrics);
    expect(second.perPicture).toEqual(whole.perPicture);
    expect(second.latent).toEqual(whole.latent);
  });

  it("refuses a work folder of other settings and says which", async () => {
    const workFolder = join(folder, "other-work");
    await run({ metrics: ["psnr"], workFolder });
    const other = run({ metrics: ["psnr"], workFolder, model: dimmer(0.5) });
    await expect(other).rejects.toThrow(/belongs to a run with other settings \(model, weights\)/);
    const size = resolveProtocol({ size: 32 });
    await expect(run({ metrics: ["psnr"], workFolder, protocol: size })).rejects.toThrow(/other settings \(protocol\)/);
  });

  it("leaves out pictures that can't be read and names them", async () => {
    const mixed = await writePictures(join(folder, "mixed"), formulaPictures(3, 50, 50));
    writeFileSync(join(mixed, "001a.jpg"), "this is no picture");
    writeFileSync(join(mixed, "notes.txt"), "neither is this, and nobody says it is");
    const source = await folderSource(mixed, { protocol });
    const result = await run({ source, metrics: ["psnr"], chunkSize: 2 });
    expect(result.pictures.count).toBe(3);
    expect(result.pictures.unusable).toEqual([
      { name: "001a.jpg", problem: expect.stringMatching(/can't be read as a picture/) },
    ]);
    expect(result.warnings).toEqual(["1 of 4 pictures couldn't be used and were left out: 001a.jpg"]);
    expect(result.perPicture?.indices).toEqual([0, 1, 3]);
  });

  it("says when none can be read, and when there are none", async () => {
    const broken = join(folder, "broken");
    await writePictures(broken, {});
    await writePictures(broken, formulaPictures(1, 20, 20));
    writeFileSync(join(broken, "000.png"), "nothing");
    await expect(run({ source: await folderSource(broken, { protocol }) })).rejects.toThrow(
      /none of its 1 picture could be used; the first one is 000\.png/,
    );
    const empty = join(folder, "empty");
    await writePictures(empty, {});
    await expect(folderSource(join(folder, "absent"), { protocol })).rejects.toThrow(
      /absent: can't read: no such file or folder/,
    );
  });

  it("says when a folder has no pictures", async () => {
    const empty = join(folder, "without-pictures");
    await writePictures(join(empty, "below"), formulaPictures(1, 12, 12));
    writeFileSync(join(empty, "readme.md"), "text");
    expect((await folderSource(empty, { protocol })).count).toBe(1);
    const textOnly = join(folder, "text-only");
    await writePictures(textOnly, { "a/b.png": formulaImage(12, 12, 0) });
    await expect(folderSource(join(textOnly, "a", "b.png"), { protocol })).rejects.toThrow(
      /a part of the path is a file, not a folder/,
    );
  });

  it("takes pictures of several sizes and warns", async () => {
    const sizes = join(folder, "sizes");
    await writePictures(sizes, { ...formulaPictures(2, 40, 36), "z.png": formulaImage(36, 64, 3) });
    const free = resolveProtocol({ crop: "none" });
    const result = await run({
      source: await folderSource(sizes, { protocol: free }),
      protocol: free,
      metrics: ["psnr"],
    });
    expect(result.pictures.sizes).toEqual({ "40x36": 2, "36x64": 1 });
    expect(result.warnings).toEqual([expect.stringMatching(/the pictures have 2 different sizes \(40x36, 36x64\)/)]);
  });

  it("refuses unknown metrics", async () => {
    await expect(run({ metrics: ["psnr", "fid"] })).rejects.toThrow(/metrics: "fid" is unknown here/);
  });
});

describe("makeExamples", () => {
  it("makes the worst and best reconstructions again", async () => {
    const source = await folderSource(photos, { protocol });
    const model = dimmer(0.9);
    const result = await run({ metrics: ["psnr"], model });
    const examples = await makeExamples({ source, model, result, count: 2 });
    expect(examples.map(({ rank }) => rank)).toEqual(["worst", "worst", "best", "best"]);
    const values = result.perPicture?.values.psnr ?? [];
    const sorted = [...values].sort((a, b) => a - b);
    expect(examples.map((example) => example.values.psnr)).toEqual([sorted[0], sorted[1], sorted[6], sorted[5]]);
    const { original, reconstruction } = examples[0] as (typeof examples)[number];
    expect(psnrOf(original.data, reconstruction.data)).toBe(sorted[0]);
  });
});
