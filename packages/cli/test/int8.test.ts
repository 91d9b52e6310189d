/** `--dtype int8` on the model that comes with dcae: what it tells, keeps and refuses. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bundledModelPath, psnr } from "@dcae/core";
import { decodeImage } from "@dcae/core/image";
import { cpuFacts, whyNotInt8 } from "@dcae/core/runtime";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture, scene } from "./support/pictures.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const m = bundledModelPath();
let picture: string;

beforeAll(async () => {
  picture = await makePicture(folder, "scene.png", 64);
});

/** The outcome of a command line with int8: stderr says whether that is slower on this machine, and nothing else. */
async function succeedInInt8(...argv: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await cli(argv);
  const reason = whyNotInt8(await cpuFacts());
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: reason === undefined ? "" : `dcae: --dtype int8: ${reason}\n`,
  });
  return stdout;
}

test("reconstruct tells what int8 costs against float32", async () => {
  const argv = ["reconstruct", picture, "-m", m, "-o"];
  await succeed(...argv, at("exact"));
  const text = await succeedInInt8(...argv, at("int8"), "--dtype", "int8", "--calibration", picture, "--compare");
  const [exact, rounded] = await Promise.all(
    ["exact", "int8"].map((out) => decodeImage(at(out, "scene-reconstruction.png"))),
  );
  if (exact === undefined || rounded === undefined) throw new Error("a reconstruction is missing");
  const values = { exact: psnr(scene(64), exact), int8: psnr(scene(64), rounded), between: psnr(exact, rounded) };
  const [own, whole, between] = [values.int8, values.exact, values.between].map((value) => `${value.toFixed(2)} dB`);
  expect(text).toContain(`${picture}: ${own} (64x64), float32 ${whole}, ${between} between the two, `);
  expect(text).toContain(`int8 costs ${(values.exact - values.int8).toFixed(2)} dB: mean float32 ${whole}`);
  const report = JSON.parse(readFileSync(at("int8", "report.json"), "utf8"));
  expect(report).toMatchObject({
    dtype: "int8",
    meanPsnr: values.int8,
    meanFloat32: { psnr: values.exact, psnrBetween: values.between },
    pictures: [{ psnr: values.int8, float32: { psnr: values.exact, psnrBetween: values.between } }],
  });
  expect(values.between).toBeGreaterThan(35);
  expect(values.between).toBeLessThan(Number.POSITIVE_INFINITY);
});

test("encode and decode, with what was observed kept in the folder", async () => {
  const cache = at("cache");
  const options = ["-m", m, "--dtype", "int8", "--calibration", picture, "--program-cache", cache];
  await succeedInInt8("encode", picture, ...options, "-o", at("first.npy"));
  const ranges = readdirSync(cache).filter((name) => name.startsWith("ranges-"));
  expect(ranges).toHaveLength(1);
  await succeedInInt8("encode", picture, ...options, "-o", at("second.npy"));
  expect(readFileSync(at("second.npy"))).toEqual(readFileSync(at("first.npy")));
  await succeedInInt8("encode", picture, ...options, "--max-memory", "2GB", "-o", at("bounded.npy"));
  expect(readFileSync(at("bounded.npy"))).toEqual(readFileSync(at("first.npy")));
  await succeedInInt8("decode", at("first.npy"), ...options, "-o", at("decoded"));
  expect(readdirSync(cache).filter((name) => name.startsWith("ranges-"))).toEqual(ranges);
});

describe("refused", () => {
  test.each<[readonly string[], string]>([
    [["--calibration", "x.png"], "--calibration: it has no effect with dtype float32"],
    [["--dtype", "int8", "--optimize"], "--optimize: it has no effect with dtype int8"],
    [["--dtype", "int8", "--device", "webgpu"], "--dtype: int8 is for the CPU, the device is webgpu"],
    [["--dtype", "float16", "--optimize"], "--optimize: it has no effect with dtype float16"],
    [["--dtype", "int4"], "Allowed choices are float32, float16, int8"],
  ])("%j", async (argv, message) => {
    expect(await failWith(2, "encode", picture, "-m", m, "-o", at("refused"), ...argv)).toContain(message);
  });

  test("calibration pictures that aren't there", async () => {
    const argv = ["encode", picture, "-o", at("refused"), "--dtype", "int8"];
    expect(await failWith(1, ...argv, "-m", m, "--calibration", at("absent.png"))).toContain("absent.png");
  });
});
