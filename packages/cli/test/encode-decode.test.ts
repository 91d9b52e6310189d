/** `dcae encode` and `dcae decode` against the library itself, for every kind of input and output. */
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type AutoencoderDC,
  type AutoencoderKL,
  imageToTensor,
  loadAutoencoder,
  loadImage,
  psnr,
  Tensor,
  tensorToImage,
} from "@dcae/core";
import {
  openSafetensorsFile,
  readNpyFile,
  tensorEntries,
  writeNpyFile,
  writeSafetensorsFile,
} from "@dcae/core/checkpoint";
import { createRandom } from "@dcae/core/graph";
import { decodeImage } from "@dcae/core/image";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture, scene } from "./support/pictures.js";
import { ADAPTIVE_CONFIG, makeModel, TINY_KL_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

let m: string;
let model: AutoencoderDC;
let adaptive: string;
let kl: string;
let klModel: AutoencoderKL;
let cat: string;
let dog: string;

beforeAll(async () => {
  m = await makeModel(folder, "model");
  adaptive = await makeModel(folder, "adaptive", ADAPTIVE_CONFIG);
  kl = await makeModel(folder, "kl", TINY_KL_CONFIG);
  model = (await loadAutoencoder(m, { device: "cpu" })) as AutoencoderDC;
  klModel = (await loadAutoencoder(kl, { device: "cpu" })) as AutoencoderKL;
  mkdirSync(at("photos", "pets"), { recursive: true });
  cat = await makePicture(at("photos"), "cat.png", 32);
  dog = await makePicture(at("photos", "pets"), "dog.png", 32, 32, 2);
});
afterAll(async () => {
  await model.dispose();
  await klModel.dispose();
});

const encodeOne = async (path: string) => model.encode(await loadImage(path));
async function readTensor(path: string): Promise<{ name: string; tensor: Tensor }> {
  const file = await openSafetensorsFile(path);
  const [entry] = file.entries.values();
  const tensor = await entry!.read();
  await file.close();
  return { name: entry!.name, tensor };
}
const values = (tensor: Tensor) => Array.from(tensor.toFloat32());

describe("encode", () => {
  test("one picture to an array [1,L,h,w]", async () => {
    const out = at("one.npy");
    expect(await succeed("encode", cat, "-m", m, "-o", out)).toBe(`${out}: 1 latent of [8, 8, 8]\n`);
    const latent = await readNpyFile(out);
    expect(latent).toMatchObject({ dtype: "float32", shape: [1, 8, 8, 8] });
    expect(values(latent)).toEqual(values(await encodeOne(cat)));
  });

  test("a folder to one file per picture, subfolders kept, other files left alone", async () => {
    const out = at("latents");
    // The same pictures by links, beside what nobody means.
    mkdirSync(at("mixed"));
    symlinkSync(cat, at("mixed", "cat.png"));
    symlinkSync(at("photos", "pets"), at("mixed", "pets"));
    writeFileSync(at("mixed", "notes.txt"), "not a picture");
    writeFileSync(at("mixed", ".hidden.png"), "not a picture either");
    const { stdout, stderr } = await cli(["encode", at("mixed"), "-m", m, "-o", out]);
    expect(stdout).toContain("2 latents of [8, 8, 8]");
    expect(stderr).toBe(`dcae: ${at("mixed")}: left out 1 .txt, 1 hidden\n`);
    expect(readdirSync(out, { recursive: true }).sort()).toEqual(["cat.npy", "pets", join("pets", "dog.npy")]);
    const latent = await readNpyFile(join(out, "pets", "dog.npy"));
    expect(latent).toMatchObject({ dtype: "float32", shape: [8, 8, 8] });
    expect(values(latent)).toEqual(values(await encodeOne(dog)));
  });

  test("several pictures to one file, in order, in batches", async () => {
    const out = at("both.safetensors");
    await succeed("encode", dog, cat, "-m", m, "-o", out, "--batch-size", "3");
    const { name, tensor } = await readTensor(out);
    expect(name).toBe("latents");
    expect(tensor.shape).toEqual([2, 8, 8, 8]);
    const expected = [...values(await encodeOne(dog)), ...values(await encodeOne(cat))];
    values(tensor).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] as number, 5);
    });
  });

  test("raw tensors are taken as they are: .npy, .safetensors, any float type, with or without batch", async () => {
    const x = Tensor.float32(createRandom(1).uniform(new Float32Array(2 * 3 * 16 * 8), -1, 1), [2, 3, 16, 8]);
    await writeNpyFile(at("x.npy"), x);
    await writeSafetensorsFile(at("x.safetensors"), tensorEntries([["anything", x.cast("bfloat16")]]));
    await writeNpyFile(at("x3.npy"), x.row(0));
    await succeed("encode", at("x.npy"), at("x3.npy"), "-m", m, "-o", at("raw.npy"));
    const expected = await model.encode(x);
    const latents = await readNpyFile(at("raw.npy"));
    expect(latents.shape).toEqual([3, 8, 4, 2]);
    const first = values(await model.encode(x.slice([{ stop: 1 }])));
    expect(values(latents.slice([{ stop: 1 }]))).toEqual(first);
    expect(values(latents.slice([{ start: 2 }]))).toEqual(first);
    expect(expected.shape).toEqual([2, 8, 4, 2]);

    await succeed("encode", at("x.safetensors"), "-m", m, "-o", at("raw16.npy"));
    const rounded = x
      .cast("bfloat16")
      .cast("float32")
      .slice([{ stop: 1 }]);
    expect(values((await readNpyFile(at("raw16.npy"))).slice([{ stop: 1 }]))).toEqual(
      values(await model.encode(rounded)),
    );

    await succeed("encode", at("x.npy"), "-m", m, "-o", at("rows"));
    expect(readdirSync(at("rows"))).toEqual(["x-0.npy", "x-1.npy"]);
  });

  test("one of several arrays in a file", async () => {
    const x = imageToTensor(scene(8));
    await writeSafetensorsFile(
      at("two.safetensors"),
      tensorEntries([
        ["a", Tensor.zeros([1])],
        ["pixels", x],
      ]),
    );
    const argv = ["encode", at("two.safetensors"), "-m", m, "-o", at("two.npy")];
    expect(await failWith(2, ...argv)).toContain("There is a, pixels.");
    expect(await failWith(2, ...argv, "--tensor", "b")).toContain('holds no array "b"');
    expect(await failWith(1, ...argv, "--tensor", "a")).toContain("expected an array [N, C, H, W]");
    await succeed(...argv, "--tensor", "pixels");
    expect(values(await readNpyFile(at("two.npy")))).toEqual(values(await model.encode(x)));
  });

  test("--scaled with and without a known factor", async () => {
    expect(await failWith(2, "encode", cat, "-m", m, "-o", at("s.npy"), "--scaled")).toContain("--scaling-factor");
    await succeed("encode", cat, "-m", m, "-o", at("s.npy"), "--scaled", "--scaling-factor", "0.25");
    const expected = values(await encodeOne(cat)).map((value) => Math.fround(value * 0.25));
    expect(values(await readNpyFile(at("s.npy")))).toEqual(expected);
    await succeed("encode", cat, "-m", kl, "-o", at("k.npy"), "--scaled");
    const mode = (await klModel.encode(await loadImage(cat))).mode();
    expect(values(await readNpyFile(at("k.npy")))).toEqual(values(mode).map((value) => Math.fround(value * 0.5)));
    await succeed("encode", cat, "-m", kl, "-o", at("k.npy"), "--scaled", "--shift-factor", "-0.75");
    const shifted = values(mode).map((value) => Math.fround((value + 0.75) * 0.5));
    expect(values(await readNpyFile(at("k.npy")))).toEqual(shifted);
  });

  test("--latent-channels of adaptive models only", async () => {
    await succeed("encode", cat, "-m", adaptive, "-o", at("a.npy"), "--latent-channels", "3");
    expect((await readNpyFile(at("a.npy"))).shape).toEqual([1, 3, 8, 8]);
    expect(await succeed("decode", at("a.npy"), "-m", adaptive, "-o", at("a.png"))).toContain("1 picture of 32x32");
    const few = ["-o", at("a.npy"), "--latent-channels"];
    expect(await failWith(2, "encode", cat, "-m", adaptive, ...few, "9")).toContain("has 8");
    expect(await failWith(2, "encode", cat, "-m", m, ...few, "3")).toContain("isn't adaptive");
    expect(await failWith(2, "encode", cat, "-m", kl, ...few, "3")).toContain("isn't adaptive");
  });

  test("--sample draws by seed and name, whatever the order and batches", async () => {
    const draw = async (out: string, ...flags: string[]) => {
      await succeed("encode", at("photos"), "-m", kl, "-o", at(out), "--sample", ...flags);
      return Promise.all(["cat.npy", "pets/dog.npy"].map(async (name) => values(await readNpyFile(at(out, name)))));
    };
    const drawn = await draw("sample-a", "--seed", "5");
    const inBatches = await draw("sample-b", "--seed", "5", "--batch-size", "2");
    drawn.flat().forEach((value, i) => {
      expect(inBatches.flat()[i]).toBeCloseTo(value, 5);
    });
    expect(await draw("sample-c", "--seed", "6")).not.toEqual(drawn);
    const mode = values((await klModel.encode(await loadImage(cat))).mode());
    expect(drawn[0]).not.toEqual(mode);
    expect(await failWith(2, "encode", cat, "-m", m, "-o", at("s.npy"), "--sample")).toContain(
      "--sample has no effect",
    );
  });

  test("--size scales and cuts, --size-policy fits the rest", async () => {
    const odd = await makePicture(folder, "odd.png", 37, 26);
    const out = ["-m", m, "-o", at("odd.npy")];
    expect(await failWith(1, "encode", odd, ...out)).toMatch(
      /odd\.png \(37x26\): its sides aren't multiples of 4, .* To keep every pixel: dcae encode .*odd\.npy --size-policy reflect-pad;/,
    );
    const refused = await failWith(1, "encode", odd, ...out, "--size-policy", "error");
    expect(refused).toContain("37x26 pixels aren't multiples of 4");
    await succeed("encode", odd, ...out, "--size-policy", "center-crop");
    expect((await readNpyFile(at("odd.npy"))).shape).toEqual([1, 8, 6, 9]);
    await succeed("encode", odd, ...out, "--size-policy", "reflect-pad");
    expect((await readNpyFile(at("odd.npy"))).shape).toEqual([1, 8, 7, 10]);
    await succeed("encode", odd, ...out, "--size", "24x16");
    const expected = await model.encode(await loadImage(odd, { size: [16, 24] }));
    expect(values(await readNpyFile(at("odd.npy")))).toEqual(values(expected));
    expect(await failWith(2, "encode", at("x.npy"), ...out, "--size", "8")).toContain(
      "--size has no effect on the array",
    );
  });

  test("--tiled is the library's tiling", async () => {
    await succeed("encode", cat, "-m", m, "-o", at("tiled.npy"), "--tiled");
    const expected = await model.encode(await loadImage(cat), { tiling: { tile: [512, 512], stride: [448, 448] } });
    expect(values(await readNpyFile(at("tiled.npy")))).toEqual(values(expected));
  });

  test("--json names every latent and nothing else goes to stdout", async () => {
    const stdout = await succeed("encode", at("photos"), "-m", m, "-o", at("json"), "--json");
    expect(JSON.parse(stdout)).toEqual({
      model: m,
      out: at("json"),
      scaled: false,
      latents: [
        { source: cat, path: at("json", "cat.npy"), shape: [8, 8, 8], width: 32, height: 32 },
        { source: dog, path: at("json", "pets", "dog.npy"), shape: [8, 8, 8], width: 32, height: 32 },
      ],
      failed: [],
    });
  });

  test("warns about raw values that may be of another range", async () => {
    const warning = async (low: number, high: number) => {
      const values = Float32Array.from({ length: 192 }, (_, i) => low + ((high - low) * i) / 191);
      await writeNpyFile(at("range.npy"), Tensor.float32(values, [1, 3, 8, 8]));
      const { status, stderr } = await cli(["encode", at("range.npy"), "-m", m, "-o", at("range-z.npy")]);
      expect(status).toBe(0);
      return stderr;
    };
    expect(await warning(0, 1)).toMatch(
      /values reach from 0 to 1, but .* \[-1, 1\]: if 0 is black, give 2 \* x - 1\n$/,
    );
    expect(await warning(-2.25, 2.5)).toMatch(
      /values reach from -2.25 to 2.5, but pictures are expected in \[-1, 1\]\n$/,
    );
    expect(await warning(-1, 1)).toBe("");
    expect(await warning(0.5, 0.75)).toBe("");
  });

  test("arrays of float64, and of one picture without a batch, are taken", async () => {
    const x = imageToTensor(scene(32)).reshape([3, 32, 32]);
    await writeNpyFile(at("single.npy"), x);
    await writeNpyFile(at("double.npy"), x.cast("float64"));
    await succeed("encode", at("single.npy"), at("double.npy"), "-m", m, "-o", at("types.npy"));
    const both = await readNpyFile(at("types.npy"));
    expect(both.shape).toEqual([2, 8, 8, 8]);
    expect(both.row(0).toFloat32()).toEqual(both.row(1).toFloat32());
  });
});

describe("decode", () => {
  beforeAll(async () => {
    await succeed("encode", dog, cat, "-m", m, "-o", at("d.npy"));
    await succeed("encode", at("photos"), "-m", m, "-o", at("d"));
  });

  test("to raw tensors, not clamped", async () => {
    expect(await succeed("decode", at("d.npy"), "-m", m, "-o", at("d-raw.safetensors"))).toContain(
      "2 pictures of 32x32",
    );
    const { name, tensor } = await readTensor(at("d-raw.safetensors"));
    expect(name).toBe("images");
    expect(tensor).toMatchObject({ dtype: "float32", shape: [2, 3, 32, 32] });
    const expected = await model.decode(await encodeOne(cat));
    expect(values(tensor.slice([{ start: 1 }]))).toEqual(values(expected));
    expect(Math.max(...values(tensor).map(Math.abs))).toBeGreaterThan(1);
  });

  test("to one picture in the format of its name", async () => {
    await succeed("decode", at("d", "cat.npy"), "-m", m, "-o", at("cat-out.png"));
    const expected = tensorToImage(await model.decode(await encodeOne(cat)));
    expect((await decodeImage(at("cat-out.png"))).data).toEqual(expected.data);
    await succeed("decode", at("d", "cat.npy"), "-m", m, "-o", at("cat-out.webp"));
    expect(psnr(expected, await decodeImage(at("cat-out.webp")))).toBeGreaterThan(15);
    expect(await failWith(2, "decode", at("d.npy"), "-m", m, "-o", at("p.png"))).toContain("can't hold 2");
  });

  test("to a folder of pictures", async () => {
    await succeed("decode", at("d"), at("d.npy"), "-m", m, "-o", at("decoded"), "--batch-size", "2");
    expect(readdirSync(at("decoded"), { recursive: true }).sort()).toEqual([
      "cat.png",
      "d-0.png",
      "d-1.png",
      "pets",
      join("pets", "dog.png"),
    ]);
  });

  test("--scaled undoes what encode did", async () => {
    const scale = ["--scaled", "--scaling-factor", "0.25", "--shift-factor", "-3"];
    await succeed("encode", cat, "-m", m, "-o", at("scaled.npy"), ...scale);
    await succeed("decode", at("scaled.npy"), "-m", m, "-o", at("unscaled.npy"), ...scale);
    const expected = values(await model.decode(await encodeOne(cat)));
    values(await readNpyFile(at("unscaled.npy"))).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] as number, 4);
    });
  });

  test("an SD-VAE, whole and tiled", async () => {
    await succeed("encode", cat, "-m", kl, "-o", at("kl.npy"));
    await succeed("decode", at("kl.npy"), "-m", kl, "-o", at("kl-x.npy"));
    const mode = (await klModel.encode(await loadImage(cat))).mode();
    expect(values(await readNpyFile(at("kl-x.npy")))).toEqual(values(await klModel.decode(mode)));
    await succeed("decode", at("kl.npy"), "-m", kl, "-o", at("kl-tiled.npy"), "--tiled");
    const tiled = await klModel.decode(mode, { tiling: true });
    expect(values(await readNpyFile(at("kl-tiled.npy")))).toEqual(values(tiled));
  });

  test("--json", async () => {
    const stdout = await succeed("decode", at("d.npy"), "-m", m, "-o", at("j.npy"), "--json");
    expect(JSON.parse(stdout)).toEqual({
      model: m,
      out: at("j.npy"),
      scaled: false,
      pictures: [
        { source: `${at("d.npy")}[0]`, path: at("j.npy"), index: 0, width: 32, height: 32 },
        { source: `${at("d.npy")}[1]`, path: at("j.npy"), index: 1, width: 32, height: 32 },
      ],
      failed: [],
    });
  });
});

test("weights without a config.json, with --config", async () => {
  const bare = at("model", "model.safetensors");
  mkdirSync(at("bare"));
  const file = await openSafetensorsFile(bare);
  await writeSafetensorsFile(at("bare", "weights.safetensors"), file.entries.values());
  await file.close();
  const argv = ["encode", cat, "-m", at("bare", "weights.safetensors"), "-o", at("bare.npy")];
  expect(await failWith(1, ...argv)).toContain("weights.safetensors");
  expect(existsSync(at("bare.npy"))).toBe(false);
  await succeed(...argv, "--config", at("model-config.json"));
  expect(values(await readNpyFile(at("bare.npy")))).toEqual(values(await encodeOne(cat)));
  expect(await failWith(2, ...argv, "--config", "dc-ae")).toContain("--config: unknown preset");
  // Of another family than the weights.
  expect(await failWith(1, ...argv, "--config", at("kl-config.json"))).toContain("the config describes an SD-VAE");
});

test("the original files of a tiny autoencoder: encode with one half, decode with the other", async () => {
  const tiny = fileURLToPath(new URL("../../core/test/golden/tiny/taesd_narrow", import.meta.url));
  await succeed("encode", cat, "-m", `${tiny}_encoder.pth`, "-o", at("tiny.npy"));
  const latent = await readNpyFile(at("tiny.npy"));
  expect(latent.shape).toEqual([1, 4, 4, 4]);
  await succeed("decode", at("tiny.npy"), "-m", `${tiny}_decoder.pth`, "-o", at("tiny.png"));
  const whole = await loadAutoencoder(tiny, { device: "cpu" });
  expect((await whole.encodeLatent(await loadImage(cat))).data).toEqual(latent.data);
  expect((await decodeImage(at("tiny.png"))).data).toEqual(tensorToImage(await whole.decode(latent)).data);
  await whole.dispose();
  expect(await failWith(1, "decode", at("tiny.npy"), "-m", `${tiny}_encoder.pth`, "-o", at("no.png"))).toMatch(
    /no decoder, only an encoder/,
  );
  expect(existsSync(at("no.png"))).toBe(false);
});
