/** Loading, refusing and saving checkpoints through the public classes. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expectClose, MODEL_TOLERANCE, relativeError } from "@dcae/test-support/compare";
import { callOf, dcAeCases, dcAeSnapshots } from "@dcae/test-support/golden-dcae";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterEach, describe, expect, test } from "vitest";
import { openSafetensorsFile, writeSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import { CheckpointError, ConfigError, DataError, type DcaeError, ShapeError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";
import { AutoencoderDC, AutoencoderKL, loadAutoencoder, openCheckpoint } from "../../src/internal/index.js";
import { writeGoldenCheckpoint } from "../support/write-golden-checkpoint.js";

const folder = temporaryFolder();
const options = { device: "cpu", threads: 1 } as const;

const open: { dispose(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.dispose()));
});
function track<T extends { dispose(): Promise<void> }>(model: T): T {
  open.push(model);
  return model;
}

async function failure(promise: Promise<unknown>): Promise<DcaeError> {
  return promise.then(
    () => {
      throw new Error("expected a rejection");
    },
    (error) => error,
  );
}

describe.each(dcAeSnapshots())("%s", (name) => {
  test("official and diffusers checkpoints give the golden outputs", async () => {
    const golden = await dcAeCases.load(name);
    const official = await writeGoldenCheckpoint(name, folder);
    for (const path of [official, dcAeCases.path(`${name}_diffusers`)]) {
      const model = track(await AutoencoderDC.fromPretrained(path, options));
      for (const call of golden.calls) {
        const x = golden.tensor(call.in[0] as string);
        const y = call.method === "encode" ? await model.encode(x) : await model.decode(x);
        expectClose(y, golden.tensor(call.out), MODEL_TOLERANCE);
      }
    }
  });

  test("saving in either format loads again with the same outputs", async () => {
    const golden = await dcAeCases.load(name);
    const { x } = callOf(golden, "encode");
    const original = track(await AutoencoderDC.fromPretrained(dcAeCases.path(`${name}_diffusers`), options));
    const expected = await original.encode(x);
    for (const format of ["official", "diffusers"] as const) {
      const path = join(folder, `${name}-${format}`);
      await original.savePretrained(path, { format });
      const again = track(await AutoencoderDC.fromPretrained(path, options));
      expect(relativeError(await again.encode(x), expected)).toBe(0);
      expect(again.scalingFactor).toBe(original.scalingFactor);
    }
  });
});

describe("AutoencoderKL", () => {
  test("the hub layout with attention names of 2022", async () => {
    const golden = await dcAeCases.load("kl_f8");
    const model = track(await AutoencoderKL.fromPretrained(dcAeCases.path("kl_f8_hub_old_names"), options));
    const { x, y } = callOf(golden, "kl_mode");
    expectClose((await model.encode(x)).mean, y, MODEL_TOLERANCE);
    expect(model.scalingFactor).toBe(0.18215);
  });

  test("factor and shift of its latents, given instead of the published ones", async () => {
    const path = dcAeCases.path("kl_f8_hub_old_names");
    const model = track(await AutoencoderKL.fromPretrained(path, { ...options, scalingFactor: 2, shiftFactor: -0.5 }));
    expect([model.scalingFactor, model.shiftFactor]).toEqual([2, -0.5]);
    const wrong = await failure(AutoencoderKL.fromPretrained(path, { ...options, shiftFactor: Number.NaN }));
    expect(wrong).toBeInstanceOf(ConfigError);
    expect(wrong.message).toContain("shiftFactor: NaN");
  });

  test("seeded samples repeat, and differ between seeds", async () => {
    const golden = await dcAeCases.load("kl_f8");
    const model = track(await AutoencoderKL.fromPretrained(dcAeCases.path("kl_f8_hub_old_names"), options));
    const posterior = await model.encode(callOf(golden, "kl_mode").x);
    expect(posterior.sample(3).data).toEqual(posterior.sample(3).data);
    expect(posterior.sample(3).data).not.toEqual(posterior.sample(4).data);
  });

  test("each class refuses the other's checkpoints", async () => {
    const wrong = await failure(AutoencoderDC.fromPretrained(dcAeCases.path("kl_f8_hub_old_names"), options));
    expect(wrong).toBeInstanceOf(ConfigError);
    expect(wrong.hint).toContain("AutoencoderKL.fromPretrained");
    const other = await failure(AutoencoderKL.fromPretrained(dcAeCases.path("ae_f32_in_diffusers"), options));
    expect(other.hint).toContain("AutoencoderDC.fromPretrained");
    expect(track(await loadAutoencoder(dcAeCases.path("kl_f8_hub_old_names"), options)).kind).toBe("sd-vae");
  });
});

describe("a checkpoint that doesn't fit is refused", () => {
  test("weights of one family with the config of another", async () => {
    const path = join(folder, "mixed");
    cpSync(dcAeCases.path("ae_f32_in_diffusers"), path, { recursive: true });
    cpSync(dcAeCases.path("ae_f32_sana_diffusers/config.json"), join(path, "config.json"));
    const error = await failure(AutoencoderDC.fromPretrained(path, options));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(/missing|unexpected|but must be/);
  });

  test("a tensor that lacks, one too many, one of another shape, and one of another kind are all listed", async () => {
    const path = await writeGoldenCheckpoint("ae_f4_dim32", join(folder, "damaged"));
    const file = join(path, "model.safetensors");
    const weights = await openSafetensorsFile(file);
    const floats = [...weights.entries.values()].filter((tensor) => tensor.dtype === "float32");
    const [first, second, third, ...rest] = floats;
    if (first === undefined || second === undefined || third === undefined) throw new Error("too few tensors");
    const entry = (name: string, tensor: Tensor) => ({
      ...tensor,
      name,
      dtype: tensor.dtype,
      shape: tensor.shape,
      read: async () => tensor,
    });
    const changed = [
      entry("stranger", Tensor.zeros([2])),
      entry(second.name, Tensor.zeros([...second.shape, 1])),
      entry(third.name, Tensor.zeros(third.shape, "int32")),
      ...rest,
    ];
    await writeSafetensorsFile(join(path, "changed.safetensors"), changed);
    await weights.close();
    const error = await failure(openCheckpoint(join(path, "changed.safetensors")));
    expect(error.message).toContain(first.name);
    expect(error.message).toContain("stranger");
    expect(error.message).toContain(`${second.shape.join(", ")}, 1]`);
    expect(error.message).toContain("int32");
  });

  test("truncated, empty and missing files, folders without weights", async () => {
    const path = await writeGoldenCheckpoint("ae_f4_dim32", join(folder, "truncated"));
    const file = join(path, "model.safetensors");
    truncateSync(file, 5000);
    expect(await failure(openCheckpoint(path))).toBeInstanceOf(CheckpointError);
    truncateSync(file, 0);
    expect(await failure(openCheckpoint(path))).toBeInstanceOf(CheckpointError);
    mkdirSync(join(folder, "empty"), { recursive: true });
    expect((await failure(openCheckpoint(join(folder, "empty")))).message).toContain("no weights");
    expect(await failure(openCheckpoint(join(folder, "nowhere", "model.safetensors")))).toBeInstanceOf(CheckpointError);
  });

  test("NaN weights are named when they reach a result", async () => {
    const path = await writeGoldenCheckpoint("ae_f4_dim32", join(folder, "nan"));
    const file = join(path, "model.safetensors");
    const bytes = readFileSync(file);
    // The last bytes of the file belong to some float tensor.
    bytes.writeFloatLE(Number.NaN, bytes.length - 4);
    writeFileSync(file, bytes);
    const golden = await dcAeCases.load("ae_f4_dim32");
    const model = track(await AutoencoderDC.fromPretrained(path, options));
    const run = async () => model.decode(await model.encode(callOf(golden, "encode").x));
    const error = await failure(run());
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain("NaN");
  });
});

describe("options and inputs", () => {
  test("a snapshot of the hub's cache, which consists of links, loads like a folder", async () => {
    const golden = await dcAeCases.load("ae_f32_lite");
    const [blobs, snapshot] = [join(folder, "blobs"), join(folder, "snapshots", "0123")];
    mkdirSync(blobs);
    mkdirSync(snapshot, { recursive: true });
    const files = { "config.json": "aa", "diffusion_pytorch_model.safetensors": "bb" };
    for (const [name, blob] of Object.entries(files)) {
      cpSync(dcAeCases.path(`ae_f32_lite_diffusers/${name}`), join(blobs, blob));
      symlinkSync(join("..", "..", "blobs", blob), join(snapshot, name));
    }
    const model = track(await AutoencoderDC.fromPretrained(snapshot, options));
    const { x, y } = callOf(golden, "encode");
    expectClose(await model.encode(x), y, MODEL_TOLERANCE);
  });

  test("float16 compute differs from float32 by rounding only", async () => {
    const golden = await dcAeCases.load("ae_f64_in");
    const model = track(
      await AutoencoderDC.fromPretrained(dcAeCases.path("ae_f64_in_diffusers"), { ...options, dtype: "float16" }),
    );
    const { x, y } = callOf(golden, "encode");
    const error = relativeError(await model.encode(x), y);
    expect(error).toBeGreaterThan(0);
    // float16 has 11 bits; the random network amplifies a rounding by about ten.
    expect(error).toBeLessThan(2e-2);
  });

  test.each([
    ["float16", "official"],
    ["float16", "diffusers"],
    ["bfloat16", "official"],
    ["bfloat16", "diffusers"],
  ] as const)("weights stored as %s in the %s layout load as the values they hold", async (dtype, format) => {
    const { x, y } = callOf(await dcAeCases.load("ae_f32_in"), "encode");
    const original = track(await AutoencoderDC.fromPretrained(dcAeCases.path("ae_f32_in_diffusers"), options));
    const narrow = join(folder, `stored-${dtype}-${format}`);
    await original.savePretrained(narrow, { dtype, format });
    const stored = track(await AutoencoderDC.fromPretrained(narrow, options));
    const kernels = [...stored.weights.entries.values()].filter(({ shape }) => shape.length === 4);
    expect(new Set(kernels.map((kernel) => kernel.dtype))).toEqual(new Set([dtype]));
    const wide = join(folder, `widened-${dtype}-${format}`);
    await stored.savePretrained(wide, { dtype: "float32", format });
    const widened = track(await AutoencoderDC.fromPretrained(wide, options));
    const latent = await stored.encode(x);
    expect(relativeError(latent, await widened.encode(x))).toBe(0);
    expect(relativeError(await stored.decode(latent), await widened.decode(latent))).toBe(0);
    expect(relativeError(latent, y)).toBeGreaterThan(0);
  });

  test("an existing folder isn't overwritten unless asked, and failures leave nothing behind", async () => {
    const model = track(await AutoencoderDC.fromPretrained(dcAeCases.path("ae_f32_in_diffusers"), options));
    const path = join(folder, "occupied");
    mkdirSync(path);
    writeFileSync(join(path, "note.txt"), "mine");
    expect(await failure(model.savePretrained(path))).toBeInstanceOf(DataError);
    expect(readdirSync(path)).toEqual(["note.txt"]);
    await model.savePretrained(path, { overwrite: true });
    expect(existsSync(join(path, "note.txt"))).toBe(true);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("wrong inputs say what the model takes", async () => {
    const model = track(await AutoencoderDC.fromPretrained(dcAeCases.path("ae_f32_in_diffusers"), options));
    const { compression: f, config } = model;
    const { inChannels, latentChannels } = config;
    const shape = [1, inChannels, f, f];
    const uneven = await failure(model.encode(Tensor.zeros([1, inChannels, f + 1, f])));
    expect(uneven.message).toContain(`multiples of ${f}`);
    expect(await failure(model.encode(Tensor.zeros([1, inChannels + 1, f, f])))).toBeInstanceOf(ShapeError);
    expect(await failure(model.encode(Tensor.zeros(shape, "uint8")))).toBeInstanceOf(DataError);
    expect(await failure(model.decode(Tensor.zeros([1, latentChannels + 1, 1, 1])))).toBeInstanceOf(ShapeError);
    const narrow = model.encode(Tensor.zeros(shape), { latentChannels: 1 });
    expect(await failure(narrow)).toBeInstanceOf(ConfigError);
    expect(await failure(model.encode(Tensor.full(shape, Number.NaN)))).toBeInstanceOf(DataError);
  });

  test("scaled latents, batches, single pictures and size policies", async () => {
    const golden = await dcAeCases.load("ae_f4_dim32");
    const path = await writeGoldenCheckpoint("ae_f4_dim32", join(folder, "scaled"));
    const model = track(await AutoencoderDC.fromPretrained(path, options));
    const { x } = callOf(golden, "encode");
    const latent = await model.encode(x);
    const scaled = await model.encode(x, { scaled: true });
    expect(scaled.toFloat32()).toEqual(latent.toFloat32().map((value) => value * 0.5));
    expectClose(await model.decode(scaled, { scaled: true }), await model.decode(latent), 1e-6);
    // A picture without batch axis, and a batch of two different ones.
    expect((await model.encode(x.row(0))).data).toEqual(latent.data);
    const flipped = Tensor.float32(x.toFloat32().slice().reverse(), x.shape);
    const batch = Tensor.float32(Float32Array.of(...x.toFloat32(), ...flipped.toFloat32()), [2, ...x.shape.slice(1)]);
    const both = await model.encode(batch);
    expectClose(both.slice([{ stop: 1 }]), latent, 1e-5);
    expectClose(both.slice([{ start: 1 }]), await model.encode(flipped), 1e-5);
    const f = model.compression;
    const odd = x.slice([{ stop: 1 }, undefined, { stop: 2 * f - 1 }, { stop: 2 * f - 2 }]);
    expect((await model.reconstruct(odd, { sizePolicy: "reflect-pad" })).shape).toEqual(odd.shape);
    const cropped = await model.reconstruct(odd, { sizePolicy: "center-crop" });
    expect(cropped.shape).toEqual([...odd.shape.slice(0, 2), f, f]);
  });
});
