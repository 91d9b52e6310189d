/** Results in files: what was written comes back, and what was damaged is refused with the field's name. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DataError, DcaeError } from "@dcae/core";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, it } from "vitest";
import { resolveProtocol } from "../../src/protocols/protocol.js";
import { formatComparison, formatResult } from "../../src/report/format-result.js";
import { compareResults } from "../../src/results/compare-results.js";
import {
  type EvaluationResult,
  readResult,
  stringifyResult,
  thisMachine,
  writeResult,
} from "../../src/results/evaluation-result.node.js";

const folder = temporaryFolder();
const path = join(folder, "result.json");

const RESULT: EvaluationResult = {
  formatVersion: 1,
  kind: "reconstruction",
  date: "2025-01-02T03:04:05.000Z",
  subject: "model",
  subjectFingerprint: "weights",
  settings: { guidance: 1.5, sampler: "heun" },
  pictures: {
    source: "photos",
    fingerprint: "pictures",
    count: 2,
    sizes: { "32x32": 2 },
    unusable: [{ name: "c.png", problem: "empty" }],
  },
  reference: { name: "set", fingerprint: "set", unusable: 0 },
  protocol: resolveProtocol({ size: 32 }),
  metrics: { psnr: { value: Number.POSITIVE_INFINITY, std: 0, count: 2 }, ssim: { value: 0.5, count: 2, note: "x" } },
  missing: [{ metric: "lpips", reason: "no weights", hint: "get them" }],
  warnings: ["few"],
  networks: [{ network: "inception", files: [{ path: "w", sha256: "0", published: true }] }],
  latent: { mean: 0, rms: 1, std: 1, count: 64 },
  perPicture: {
    names: ["a.png", "b.png"],
    indices: [0, 1],
    values: { psnr: [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY], ssim: [0.4, 0.6] },
  },
  engine: "cpu",
  machine: thisMachine(),
  seconds: 1,
};

it("a result comes back as it was, infinities too", async () => {
  await writeResult(path, RESULT);
  expect(await readResult(path)).toEqual(RESULT);
});

type Json = { [key: string]: Json } | Json[] | string | number | boolean | null;

/** Every place below a value. */
function places(value: Json, at: readonly string[] = []): (readonly string[])[] {
  const below = typeof value === "object" && value !== null ? Object.entries(value) : [];
  return [...(at.length > 0 ? [at] : []), ...below.flatMap(([key, entry]) => places(entry, [...at, key]))];
}

/** Puts something else at a place, or removes it. */
function damaged(at: readonly string[], value: Json | undefined): string {
  const whole = JSON.parse(stringifyResult(RESULT)) as Json;
  const parent = at.slice(0, -1).reduce((part, key) => (part as { [key: string]: Json })[key] as Json, whole);
  const key = at.at(-1) as string;
  if (value !== undefined) (parent as { [key: string]: Json })[key] = value;
  else if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete (parent as { [key: string]: Json })[key];
  return JSON.stringify(whole);
}

it("any field with anything else in it is a result that can be shown, or refused", async () => {
  let refused = 0;
  for (const at of places(JSON.parse(stringifyResult(RESULT)) as Json)) {
    for (const value of [undefined, null, "Infinity", -1.5, [], { a: null }]) {
      writeFileSync(path, damaged(at, value));
      try {
        const result = await readResult(path);
        expect(formatResult(result)).toContain("\n");
        expect(formatComparison(compareResults([RESULT, result]), ["a", "b"])).toContain("PSNR");
      } catch (error) {
        expect(error, `${at.join(".")} = ${JSON.stringify(value)}`).toBeInstanceOf(DcaeError);
        refused++;
      }
    }
  }
  expect(refused).toBeGreaterThan(300);
});

it.each<[string, Json | undefined, string]>([
  ["metrics.psnr", null, "metrics.psnr: expected an object, got null"],
  ["metrics.psnr.value", "21", 'metrics.psnr.value: expected a number, got "21"'],
  ["perPicture.values.ssim.1", undefined, "perPicture: ssim: expected 2 values, one per picture, got 1"],
  ["perPicture", null, "perPicture: expected an object, got null"],
  ["protocol.crop", "cut", 'protocol.crop: expected "dm-crop" or "none", got "cut"'],
  ["networks.0.network", 3, 'networks[0].network: expected "inception" or'],
  ["machine.cpu", undefined, "machine.cpu: expected text, got nothing"],
])("%s", async (place, value, message) => {
  writeFileSync(path, damaged(place.split("."), value));
  const error = await readResult(path).catch((problem: unknown) => problem);
  expect(error).toBeInstanceOf(DataError);
  expect((error as DataError).message).toBe(
    `${path}: isn't a whole result: ${(error as DataError).message.split("result: ")[1]}`,
  );
  expect((error as DataError).message).toContain(message);
});

it("a pointer of Git LFS, and lists in lists without end", async () => {
  writeFileSync(path, `version https://git-lfs.github.com/spec/v1\noid sha256:${"0a".repeat(32)}\nsize 337\n`);
  await expect(readResult(path)).rejects.toMatchObject({ name: "DataError", hint: expect.stringContaining("git lfs") });
  writeFileSync(path, `{"formatVersion":1,"protocol":${"[".repeat(1e5)}${"]".repeat(1e5)}}`);
  await expect(readResult(path)).rejects.toThrow(`${path} is nested deeper than 100 levels`);
});

it.each(["", "[]", "null", "{", '{"formatVersion": 2}', "\u0000"])("a file that holds %j", async (content) => {
  writeFileSync(path, content);
  await expect(readResult(path)).rejects.toThrow(DataError);
});
