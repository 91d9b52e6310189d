/** Files written by the reference implementation (safetensors 0.8 for PyTorch), see golden/checkpoint/README.md. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { decodeNpy } from "../../src/checkpoint/npy/npy.js";
import { encodeSafetensors } from "../../src/checkpoint/safetensors/writer.js";
import { DTYPES } from "../../src/graph/dtype.js";
import { openBytes } from "../support/raw-safetensors.js";

const golden = (name: string): Uint8Array =>
  readFileSync(fileURLToPath(new URL(`../golden/checkpoint/${name}`, import.meta.url)));

describe("all dtypes", async () => {
  const file = await openBytes(golden("all_dtypes.safetensors"));
  const integers: Record<string, readonly bigint[]> = {
    int8: [0n, 1n, 2n, 3n, -128n, 127n],
    int16: [0n, 1n, 2n, 3n, -32768n, 32767n],
    int32: [0n, 1n, 2n, 3n, -(2n ** 31n), 2n ** 31n - 1n],
    int64: [0n, 1n, 2n, 3n, -(2n ** 63n), 2n ** 63n - 1n],
    uint8: [0n, 1n, 2n, 3n, 100n, 5n],
    uint16: [0n, 1n, 2n, 3n, 100n, 65535n],
    uint32: [0n, 1n, 2n, 3n, 100n, 2n ** 32n - 1n],
    uint64: [0n, 1n, 2n, 3n, 100n, 2n ** 64n - 1n],
    bool: [0n, 0n, 0n, 1n, 1n, 1n],
  };
  // (0, 1, 2, 3, 100, 5) / 4 - 1, which every float format holds exactly.
  const floats = [-1, -0.75, -0.5, -0.25, 24, 0.25];

  it.each(DTYPES)("%s", async (dtype) => {
    const entry = file.entries.get(`t.${dtype}`);
    expect([entry?.dtype, entry?.shape, entry?.location]).toEqual([dtype, [2, 3], undefined]);
    const tensor = await entry?.read();
    const expected = integers[dtype];
    if (expected !== undefined) expect(Array.from(tensor?.data ?? [], BigInt)).toEqual(expected);
    else expect(Array.from(tensor?.toFloat32() ?? [])).toEqual(floats);
  });

  it("scalars, tensors without elements, names beyond ASCII", async () => {
    expect((await file.entries.get("scalar")?.read())?.at()).toBe(7n);
    expect((await file.entries.get("empty")?.read())?.shape).toEqual([3, 0]);
    for (const name of ["ümlaut", "\u{1F600}", "\uFFFD"]) expect(file.entries.has(name), name).toBe(true);
    expect([...file.metadata]).toEqual([["format", "pt"]]);
  });
});

it.each(["all_dtypes", "narrow_floats"])("writing %s again gives the reference's bytes", async (name) => {
  const bytes = golden(`${name}.safetensors`);
  const { entries } = await openBytes(bytes);
  // The order of the producer must not matter.
  const reversed = [...entries.values()].reverse();
  expect(Buffer.compare(await encodeSafetensors(reversed), bytes)).toBe(0);
});

it("files without metadata are written without it", async () => {
  const bytes = golden("latent_example.safetensors");
  const { entries, metadata } = await openBytes(bytes);
  expect(metadata.size).toBe(0);
  expect(Buffer.compare(await encodeSafetensors(entries.values(), { metadata: {} }), bytes)).toBe(0);
});

it("the latent file of dcae.md section 8 holds latent * scaling_factor", async () => {
  const { entries } = await openBytes(golden("latent_example.safetensors"));
  const npy = decodeNpy(golden("latent_example.npy"));
  const stored = await entries.get("out.npy_values")?.read();
  const latent = await entries.get("in.latent")?.read();
  const { scaling_factor: factor } = JSON.parse(new TextDecoder().decode(golden("latent_example.json")));
  expect(npy.shape).toEqual(stored?.shape);
  expect(npy.data).toEqual(stored?.data);
  expect(npy.data).toEqual(latent?.toFloat32().map((value) => value * Math.fround(factor)));
});
