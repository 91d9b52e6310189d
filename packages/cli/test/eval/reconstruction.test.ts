import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "@dcae/core";
import { readResult } from "@dcae/eval";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { cli, failWith, succeed } from "../support/cli.js";
import { makePicture } from "../support/pictures.js";
import { ADAPTIVE_CONFIG, makeModel, TINY_KL_CONFIG } from "../support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const evaluate = (...argv: string[]) => ["eval", "reconstruction", "-m", at("model"), ...argv];
// No weights are found in here, whatever this machine has.
process.env.XDG_CACHE_HOME = at("no-cache");
process.env.TORCH_HOME = at("no-torch");

beforeAll(async () => {
  await makeModel(folder, "model");
  mkdirSync(at("photos", "more"), { recursive: true });
  await Promise.all([0, 1, 2, 3].map((seed) => makePicture(at("photos"), `${seed}.png`, 40, 36, seed)));
  await makePicture(at("photos", "more"), "4.png", 44, 36, 4);
});

describe("dcae eval reconstruction", () => {
  test("gives a result, a report and a text with the protocol; metrics without weights are named", async () => {
    const text = await succeed(...evaluate("--data", at("photos"), "--size", "32", "-o", at("all")));
    expect(text).toMatch(/^PSNR {3}[\d.]+ dB {2}std [\d.]+ {2}higher is better$/m);
    expect(text).toMatch(/^LPIPS {2}not computed: the weights of the AlexNet trunk aren't here/m);
    expect(text).toMatch(/^rFID {3}not computed: .*\n {7}Download https:.* or set DCAE_INCEPTION to its path\.$/m);
    expect(text).toMatch(/^size +32x32$/m);
    expect(readdirSync(at("all")).sort()).toEqual(["report.html", "result.json"]);
    const result = await readResult(at("all", "result.json"));
    expect(result).toMatchObject({ kind: "reconstruction", pictures: { count: 5, sizes: { "32x32": 5 } } });
    expect(result.protocol).toMatchObject({ name: "dc-ae", crop: "dm-crop", size: [32, 32] });
    expect(Object.keys(result.metrics)).toEqual(["psnr", "ssim"]);
    expect(result.missing.map(({ metric }) => metric)).toEqual(["lpips", "rfid"]);
    expect(result.perPicture?.names).toEqual(["0.png", "1.png", "2.png", "3.png", "more/4.png"]);
    expect(result.subjectFingerprint).toMatch(/^[0-9a-f]{64}$/);
    const report = readFileSync(at("all", "report.html"), "utf8");
    expect(report).toContain("Worst reconstructions by SSIM");
    expect(report).toContain("Best reconstructions by SSIM");
  });

  test("--json prints what the file holds", async () => {
    const argv = ["--data", at("photos"), "--size", "32", "--metrics", "psnr", "-o", at("json"), "--json"];
    const text = await succeed(...evaluate(...argv));
    expect(text).toBe(readFileSync(at("json", "result.json"), "utf8"));
  });

  test("--limit, --split, --ssim-border and --batch-size", async () => {
    const changes = ["--limit", "3", "--split", "my photos", "--ssim-border", "cropped", "--batch-size", "2"];
    const base = ["--data", at("photos"), "--size", "32", "--metrics", "ssim", "--examples", "0"];
    await succeed(...evaluate(...base, ...changes, "-o", at("changes")));
    const result = await readResult(at("changes", "result.json"));
    expect(result.protocol).toMatchObject({ name: "dc-ae with other ssimBorder", split: "my photos" });
    expect(result.metrics.ssim?.count).toBe(3);
    expect(readFileSync(at("changes", "report.html"), "utf8")).not.toContain("Worst reconstructions");
  });

  test("SD-VAE, and DC-AE 1.5 with fewer channels, which are other results", async () => {
    await makeModel(folder, "sd-vae", TINY_KL_CONFIG);
    await makeModel(folder, "adaptive", ADAPTIVE_CONFIG);
    const psnrOf = async (name: string, ...argv: string[]) => {
      const base = ["--data", at("photos"), "--size", "32", "--metrics", "psnr", "-o", at(`${name}-out`)];
      await succeed("eval", "reconstruction", "-m", at(name), ...base, ...argv);
      return readResult(at(`${name}-out`, "result.json"));
    };
    expect((await psnrOf("sd-vae")).metrics.psnr?.value).toBeGreaterThan(0);
    const all = await psnrOf("adaptive");
    const few = await psnrOf("adaptive", "--latent-channels", "4");
    expect(few.engine).toContain("4 latent channels");
    expect(few.metrics.psnr?.value).not.toBe(all.metrics.psnr?.value);
    expect(few.latent?.count).toBe((all.latent?.count ?? 0) / 2);
  });

  test("without --out the folder is named by what is evaluated", async () => {
    const before = process.cwd();
    mkdirSync(at("here"));
    process.chdir(at("here"));
    try {
      await succeed(...evaluate("--data", at("photos"), "--size", "32", "--metrics", "psnr", "--limit", "1"));
      expect(existsSync(at("here", "evaluation", "model-photos-32x32", "result.json"))).toBe(true);
    } finally {
      process.chdir(before);
    }
  });
});

describe("what can't be used", () => {
  test("no folder, no pictures, no archive", async () => {
    mkdirSync(at("empty"), { recursive: true });
    writeFileSync(at("empty", "readme.txt"), "text");
    const fail = (data: string) => failWith(1, ...evaluate("--data", data, "-o", at("x")));
    expect(await fail(at("absent"))).toMatch(/--data .*absent: no such folder or file/);
    expect(await fail(at("empty"))).toMatch(/empty: there are no pictures in it/);
    expect(await fail(at("empty", "readme.txt"))).toMatch(/expected a folder of pictures, or an \.npz archive/);
    expect(existsSync(at("x"))).toBe(false);
  });

  test("pictures that can't be read are named, and the exit status is 1 unless that is accepted", async () => {
    cpSync(at("photos"), at("broken"), { recursive: true });
    writeFileSync(at("broken", "text.jpg"), "this is no picture");
    truncateSync(at("broken", "2.png"), 200);
    const argv = evaluate("--data", at("broken"), "--size", "32", "--metrics", "psnr", "-o", at("broken-out"));
    const { status, stdout, stderr } = await cli(argv);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^warning: 2 of 6 pictures couldn't be used and were left out: 2\.png, text\.jpg$/m);
    expect(stdout).toMatch(/^left out: text\.jpg: /m);
    expect(stderr).toBe(
      "dcae: 2 pictures could not be used. They are named in the result. --skip-errors accepts that.\n",
    );
    const result = await readResult(at("broken-out", "result.json"));
    expect(result.pictures).toMatchObject({ count: 4, unusable: [{ name: "2.png" }, { name: "text.jpg" }] });
    expect((await cli([...argv, "--skip-errors"])).status).toBe(0);
  });

  test("without a size: mixed sizes are a warning, sides that don't fit the model are named", async () => {
    await makePicture(at("broken"), "odd.png", 41, 36, 1);
    rmSync(at("broken", "text.jpg"));
    rmSync(at("broken", "2.png"));
    const { status, stdout } = await cli(evaluate("--data", at("broken"), "--metrics", "psnr", "-o", at("mixed")));
    expect(status).toBe(1);
    expect(stdout).toMatch(/^left out: odd\.png: 41x36 pixels aren't multiples of 4, the model's compression; /m);
    expect(stdout).toMatch(/^warning: .*broken: the pictures have 2 different sizes \(40x36, 44x36\)/m);
  });

  test("nothing usable is an error that gives an example, and leaves no parts behind", async () => {
    mkdirSync(at("small"));
    await makePicture(at("small"), "a.png", 8, 8);
    const argv = evaluate("--data", at("small"), "--metrics", "ssim", "-o", at("small-out"));
    expect(await failWith(1, ...argv)).toMatch(
      /none of its 1 picture could be used; the first one is a\.png: 8x8 pixels are fewer than SSIM needs \(11 per side\)/,
    );
    expect(readdirSync(at("small-out"))).toEqual([]);
  });

  test("metrics that were asked for and can't be computed give exit status 1; if there is no other, at once", async () => {
    const base = ["--data", at("photos"), "--size", "32", "-o", at("asked")];
    const { status, stderr } = await cli(evaluate(...base, "--metrics", "psnr,rfid"));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^dcae: not computed: rFID: the weights of the FID Inception aren't here/);
    expect((await readResult(at("asked", "result.json"))).metrics.psnr?.count).toBe(5);
    const line = await failWith(1, ...evaluate(...base, "--metrics", "rfid,lpips"));
    expect(line).toMatch(/none of the metrics can be computed: the weights of the AlexNet trunk aren't here/);
  });

  test("options without effect", async () => {
    const base = ["--data", at("photos"), "-o", at("x")];
    expect(await failWith(2, ...evaluate(...base, "--metrics", "fid"))).toContain("Give a list of psnr, ssim, lpips");
    expect(await failWith(2, ...evaluate(...base, "--size", "32", "--latent-channels", "4"))).toMatch(/isn't adaptive/);
    expect(await failWith(2, ...evaluate("--data", at("photos"), "-o", at("x.json")))).toMatch(/doesn't write/);
  });
});

describe("a run that was stopped", () => {
  const base = ["--data", at("photos"), "--size", "32", "--metrics", "psnr", "-o", at("stopped")];

  test("keeps what was finished, refuses to mix it with other settings, and starts anew if told to", async () => {
    const controller = new AbortController();
    const { status, stderr } = await cli(evaluate(...base), {
      signal: controller.signal,
      onTerminal: (text) => {
        // Progress of the pass; the settings are on disk by then.
        if (/reconstruct /.test(text)) controller.abort(new DataError("stopped by the test"));
      },
    });
    expect(status).toBe(1);
    expect(stderr).toContain("dcae: run the same command again to go on\n");
    expect(readdirSync(at("stopped"))).toEqual(["parts"]);
    const line = await failWith(2, ...evaluate(...base, "--ssim-border", "cropped"));
    expect(line).toMatch(/belongs to a run with other settings \(protocol\)\. .*start anew with --restart/);
    await succeed(...evaluate(...base, "--ssim-border", "cropped", "--restart"));
    expect(readdirSync(at("stopped")).sort()).toEqual(["report.html", "result.json"]);
  });
});
