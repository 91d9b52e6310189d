import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import { Tensor } from "@dcae/core/graph";
import { describe, expect, it } from "vitest";
import { parseOfficialDenoiser } from "../../src/denoisers/official-config.js";
import { inferDenoiser } from "../../src/pipeline/denoiser-checkpoint.js";
import { goldenPath } from "../support/golden.js";

interface Entry {
  readonly arch: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly parameters: readonly (readonly [name: string, shape: readonly number[]])[];
}
const manifest: { readonly presets: Readonly<Record<string, Entry>> } = JSON.parse(
  gunzipSync(readFileSync(goldenPath("manifest.json.gz"))).toString("utf8"),
);

/** Names and shapes only. */
function shapesOf({ parameters }: Entry): Weights {
  const entries = parameters.map(([name, shape]): [string, WeightEntry] => [
    name,
    { name, dtype: "float32", shape, read: async () => Tensor.zeros(shape) },
  ]);
  return { source: "manifest", entries: new Map(entries), close: async () => {} };
}

/** Neither shows in names and shapes, and no file without configuration has them. */
const isOrdinary = ([, { arch, config }]: [string, Entry]) => arch !== "sana_cls" && config.adaptive_channel !== true;

describe.each(Object.entries(manifest.presets).filter(isOrdinary))("%s", (_, entry) => {
  it("is told by its names and shapes", () => {
    const expected = parseOfficialDenoiser(entry.arch, entry.config);
    expect(inferDenoiser(shapesOf(entry)).config).toEqual(expected.config);
  });
});
