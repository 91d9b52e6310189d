/** `dcae reconstruct`: pictures, comparison, report; and what happens to pictures that can't be used. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AutoencoderDC, loadAutoencoder, loadImage, psnr, tensorToImage } from "@dcae/core";
import { decodeImage, sideBySide } from "@dcae/core/image";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture, scene } from "./support/pictures.js";
import { ADAPTIVE_CONFIG, makeModel, TINY_KL_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const readReport = (out: string) => JSON.parse(readFileSync(join(out, "report.json"), "utf8"));

let m: string;
let cat: string;

beforeAll(async () => {
  m = await makeModel(folder, "model");
  mkdirSync(at("photos", "pets"), { recursive: true });
  cat = await makePicture(at("photos"), "cat.png", 32);
  await makePicture(at("photos", "pets"), "dog.png", 24, 32, 2);
});

test("writes reconstruction, comparison and report", async () => {
  const out = at("out");
  const text = await succeed("reconstruct", cat, "-m", m, "-o", out);
  expect(readdirSync(out).sort()).toEqual(["cat-reconstruction.png", "cat-side-by-side.png", "report.json"]);

  const model = (await loadAutoencoder(m, { device: "cpu" })) as AutoencoderDC;
  const expected = tensorToImage(await model.reconstruct(await loadImage(cat)));
  await model.dispose();
  const result = await decodeImage(join(out, "cat-reconstruction.png"));
  expect(result.data).toEqual(expected.data);
  const both = await decodeImage(join(out, "cat-side-by-side.png"));
  expect(both.data).toEqual(sideBySide([scene(32), expected]).data);

  const value = psnr(scene(32), expected);
  expect(text).toContain(`${cat}: ${value.toFixed(2)} dB (32x32)`);
  expect(text).toContain(`1 picture, mean PSNR ${value.toFixed(2)} dB`);
  expect(readReport(out)).toEqual({
    model: m,
    device: "cpu",
    dtype: "float32",
    sizePolicy: "error",
    tiled: false,
    count: 1,
    meanPsnr: value,
    pictures: [
      {
        source: cat,
        reconstruction: join(out, "cat-reconstruction.png"),
        sideBySide: join(out, "cat-side-by-side.png"),
        width: 32,
        height: 32,
        psnr: value,
      },
    ],
    failed: [],
  });
});

test("folders with subfolders, sizes mixed, in batches; results inside of the searched folder are no input", async () => {
  const out = at("photos", "results");
  for (let i = 0; i < 2; i++) {
    const report = JSON.parse(
      await succeed("reconstruct", at("photos"), "-m", m, "-o", out, "--batch-size", "4", "--json"),
    );
    expect(report.pictures.map(({ source }: { source: string }) => source)).toEqual([
      cat,
      at("photos", "pets", "dog.png"),
    ]);
    const [first, second] = report.pictures;
    expect(report.meanPsnr).toBeCloseTo((first.psnr + second.psnr) / 2, 10);
    expect(report).toEqual(readReport(out));
  }
  expect(existsSync(join(out, "pets", "dog-reconstruction.png"))).toBe(true);
});

test("padding is cut off again, crops compare with what was kept", async () => {
  const odd = await makePicture(folder, "odd.png", 37, 26);
  await succeed("reconstruct", odd, "-m", m, "-o", at("pad"), "--size-policy", "reflect-pad");
  expect(readReport(at("pad")).pictures[0]).toMatchObject({ width: 37, height: 26 });
  await succeed("reconstruct", odd, "-m", m, "-o", at("crop"), "--size-policy", "top-left-crop");
  expect(readReport(at("crop")).pictures[0]).toMatchObject({ width: 36, height: 24 });
  const both = await decodeImage(at("crop", "odd-side-by-side.png"));
  expect([both.width, both.height]).toEqual([36 * 2 + 4, 24]);
});

test("an SD-VAE, and an adaptive model with fewer channels", async () => {
  const kl = await makeModel(folder, "kl", TINY_KL_CONFIG);
  await succeed("reconstruct", cat, "-m", kl, "-o", at("kl-out"));
  const adaptive = await makeModel(folder, "adaptive", ADAPTIVE_CONFIG);
  await succeed("reconstruct", cat, "-m", adaptive, "-o", at("few"), "--latent-channels", "2");
  await succeed("reconstruct", cat, "-m", adaptive, "-o", at("all"));
  expect(readReport(at("few")).latentChannels).toBe(2);
  expect(readReport(at("few")).meanPsnr).not.toBe(readReport(at("all")).meanPsnr);
});

describe("pictures that can't be used", () => {
  beforeAll(() => {
    mkdirSync(at("mixed"));
    writeFileSync(at("mixed", "empty.png"), "");
    writeFileSync(at("mixed", "text.jpg"), "no picture");
    writeFileSync(at("mixed", "cut.png"), readFileSync(cat).subarray(0, 200));
    writeFileSync(at("mixed", "good.png"), readFileSync(cat));
  });
  const argv = (out: string) => ["reconstruct", at("mixed"), at("missing.png"), "-m", m, "-o", at(out)];

  test("are named and counted; the others are done; the command fails", async () => {
    const { status, stdout, stderr } = await cli(argv("mixed-out"));
    expect(status).toBe(1);
    const lines = stderr.trimEnd().split("\n");
    expect(lines).toHaveLength(5);
    expect(lines[0]).toContain(at("mixed", "cut.png"));
    expect(lines[1]).toContain(`${at("mixed", "empty.png")}: the file is empty (0 bytes)`);
    expect(lines[2]).toContain(`${at("mixed", "text.jpg")}: can't be read as a picture`);
    expect(lines[3]).toContain(`${at("missing.png")}: can't read: no such file or folder`);
    expect(lines[4]).toBe("dcae: 4 of 5 pictures could not be used. See above.");
    expect(stdout).toContain("1 picture, mean PSNR");
    const report = readReport(at("mixed-out"));
    expect(report.count).toBe(1);
    expect(report.failed.map(({ source }: { source: string }) => source)).toEqual([
      at("mixed", "cut.png"),
      at("mixed", "empty.png"),
      at("mixed", "text.jpg"),
      at("missing.png"),
    ]);
  });

  test("--skip-errors lets the command succeed, unless nothing is left", async () => {
    const { status, stderr } = await cli([...argv("skipped"), "--skip-errors"]);
    expect(status).toBe(0);
    expect(stderr).toContain("dcae: 4 of 5 pictures could not be used\n");
    const all = await cli(["reconstruct", at("missing.png"), "-m", m, "-o", at("none"), "--skip-errors"]);
    expect(all.status).toBe(1);
    // A report of nothing would look like a result.
    expect(existsSync(at("none", "report.json"))).toBe(false);
  });
});

test("results that would collide are refused before any work", async () => {
  mkdirSync(at("others"));
  const other = await makePicture(at("others"), "cat.png", 32);
  const line = await failWith(1, "reconstruct", cat, other, "-m", m, "-o", at("collision"));
  expect(line).toContain("would both be written to");
  expect(existsSync(at("collision"))).toBe(false);
});

test("arrays are not pictures", async () => {
  writeFileSync(at("x.npy"), "");
  expect(await failWith(1, "reconstruct", at("x.npy"), "-m", m, "-o", at("arrays"))).toContain(
    "takes pictures, not arrays",
  );
});
