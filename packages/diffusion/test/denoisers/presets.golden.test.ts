import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { sizeOf } from "@dcae/core/graph";
import { describe, expect, it } from "vitest";
import { denoiserParameters } from "../../src/denoisers/denoise.js";
import { parseOfficialDenoiser, toOfficialDenoiser } from "../../src/denoisers/official-config.js";
import {
  denoiserPreset,
  findPublishedDenoiser,
  type LatentName,
  PUBLISHED_DENOISERS,
  type SizeName,
} from "../../src/denoisers/presets.js";
import { goldenPath } from "../support/golden.js";

interface Entry {
  readonly arch: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly parameters_total: number;
  readonly parameters_trainable: number;
  readonly frozen: readonly string[];
  readonly parameters: readonly (readonly [name: string, shape: readonly number[]])[];
}
const manifest: {
  readonly hub: Readonly<Record<string, string>>;
  readonly presets: Readonly<Record<string, Entry>>;
} = JSON.parse(gunzipSync(readFileSync(goldenPath("manifest.json.gz"))).toString("utf8"));

const latentNames: Readonly<Record<string, LatentName>> = {
  dc_f32c32_512: "dc-ae-f32c32-512",
  dc_f64c128_512: "dc-ae-f64c128-512",
  dc_f128c512_512: "dc-ae-f128c512-512",
  sd_f8_512_p2: "sd-vae-f8-512",
  sd_f8_256_p2: "sd-vae-f8-256",
  flux_f8_512_p2: "flux-vae-f8-512",
};

const sorted = (rows: Iterable<readonly [string, readonly number[]]>) =>
  [...rows].map(([name, shape]) => `${name} ${shape.join("x")}`).sort();

describe.each(Object.entries(manifest.presets))("%s", (_, entry) => {
  it("has the official parameters, read from the official arguments and from what we write", () => {
    const parsed = parseOfficialDenoiser(entry.arch, entry.config);
    const specs = denoiserParameters(parsed.config);
    expect(sorted(specs.map(({ name, shape }) => [name, shape]))).toEqual(sorted(entry.parameters));
    expect(specs.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBe(entry.parameters_total);
    const trainable = specs.filter((spec) => spec.trainable);
    expect(trainable.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBe(entry.parameters_trainable);
    expect(specs.filter((spec) => !spec.trainable).map(({ name }) => name)).toEqual(entry.frozen);
    const written = toOfficialDenoiser(parsed);
    expect(parseOfficialDenoiser(written.arch, written.model)).toEqual(parsed);
  });
});

describe("presets", () => {
  it("are the official networks on every latent of the tables", () => {
    const named = Object.entries(manifest.presets).flatMap(([name, entry]) => {
      const [size, latent] = name.split("@") as [string, string | undefined];
      const latentName = latent === undefined ? undefined : latentNames[latent];
      return latentName === undefined || size.endsWith("1.5") ? [] : [{ size, latentName, entry }];
    });
    expect(named.length).toBeGreaterThan(60);
    for (const { size, latentName, entry } of named) {
      const preset = denoiserPreset(size.replaceAll("_", "-") as SizeName, latentName, {
        adaptive_channel: entry.config.adaptive_channel ?? false,
      });
      expect(preset.config, size).toEqual(parseOfficialDenoiser(entry.arch, entry.config).config);
    }
  });

  it("cover every published checkpoint", () => {
    expect(PUBLISHED_DENOISERS.map(({ name }) => name).sort()).toEqual(Object.keys(manifest.hub).sort());
    for (const model of PUBLISHED_DENOISERS) {
      const entry = manifest.presets[manifest.hub[model.name]!]!;
      expect(model.config, model.name).toEqual(parseOfficialDenoiser(entry.arch, entry.config).config);
    }
    const usit = findPublishedDenoiser("mit-han-lab/dc-ae-f32c32-in-1.0-usit-h-in-512px");
    expect(usit).toMatchObject({
      autoencoder: "dc-ae-f32c32-in-1.0",
      scalingFactor: 0.3189,
      recipe: { trainScheduler: "SiTSampler", evalScheduler: "ODE_dopri5", numInferenceSteps: 250 },
    });
    expect(findPublishedDenoiser("someone-else/dc-ae-f32c32-in-1.0-usit-h-in-512px")).toBeUndefined();
  });
});
