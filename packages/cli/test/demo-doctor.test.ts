/** `dcae demo` and `dcae doctor`. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeImage, drawScene } from "@dcae/core";
import { expect, test } from "vitest";
import { formatDiagnosis } from "../src/commands/doctor.js";
import type { Diagnosis } from "../src/diagnose.js";
import { succeed } from "./support/cli.js";
import { temporaryFolder } from "./support/temporary-folder.js";

const folder = temporaryFolder();

test("demo: draws, makes models in both formats, reconstructs, names the pictures, can be repeated", async () => {
  const out = join(folder, "demo");
  const text = await succeed("demo", "-o", out, "--size", "64x48", "--seed", "3", "--scene", "wall");
  expect(readdirSync(out).sort()).toEqual([
    "model-diffusers",
    "model-official",
    "original.png",
    "reconstruction.png",
    "side-by-side.png",
  ]);
  const original = await decodeImage(join(out, "original.png"));
  expect(original.data).toEqual(drawScene({ width: 64, height: 48, seed: 3, kind: "wall" }).data);
  const both = await decodeImage(join(out, "side-by-side.png"));
  expect([both.width, both.height]).toEqual([132, 48]);
  for (const name of ["original.png", "reconstruction.png", "side-by-side.png"]) {
    expect(text).toContain(join(out, name));
    expect(existsSync(join(out, name))).toBe(true);
  }
  expect(text).toContain("Both formats give the same latent and the same picture, bit for bit.");
  expect(text).toContain("The weights are random");
  const reconstruction = readFileSync(join(out, "reconstruction.png"));
  expect(await succeed("demo", "-o", out, "--size", "64x48", "--seed", "3", "--scene", "wall")).toBe(text);
  expect(readFileSync(join(out, "reconstruction.png")).equals(reconstruction)).toBe(true);
});

test("doctor: the CPU works, and every device that doesn't has a reason and advice", async () => {
  const diagnosis: Diagnosis = JSON.parse(await succeed("doctor", "--json"));
  expect(diagnosis.blockers).toEqual([]);
  expect(diagnosis.node).toMatchObject({ version: process.versions.node, ok: true });
  expect(diagnosis.runtime.version).toMatch(/^\d+\.\d+/);
  expect(diagnosis.runtime.devices.map(({ device }) => device)).toEqual([
    "cpu",
    "webgpu",
    "cuda",
    "tensorrt",
    "coreml",
    "dml",
  ]);
  for (const { device, works, problem, hint } of diagnosis.runtime.devices) {
    if (device === "cpu") expect(works).toBe(true);
    expect(works ? undefined : problem, device).toBe(works ? undefined : problem?.trim().split("\n")[0]);
    expect(Boolean(hint), device).toBe(!works);
  }
  expect(diagnosis.pictures.formats).toEqual(expect.arrayContaining(["AVIF", "JPEG", "PNG", "TIFF", "WebP"]));
  expect(diagnosis.machine.availableBytes).toBeLessThanOrEqual(diagnosis.machine.memoryBytes);
});

test("doctor's text says what is missing", () => {
  const text = formatDiagnosis({
    version: "1.2.3",
    node: { version: "18.0.0", needed: "20.19", ok: false },
    machine: { platform: "linux", arch: "x64", cores: 1, memoryBytes: 8e9, availableBytes: 4e9 },
    runtime: {
      version: "1.30.0",
      devices: [{ device: "cuda", works: false, problem: "no library", hint: "Do this." }],
    },
    pictures: { problem: "sharp can't be loaded" },
    hub: { cache: "/cache", models: 0, offline: true, endpoint: "https://huggingface.co", hasToken: true },
    blockers: [],
  });
  expect(text).toContain("Node 18.0.0: too old, 20.19 or newer is needed");
  expect(text).toContain("1 core, 4.00 GB of 8.00 GB memory available");
  expect(text).toMatch(/cuda +no: no library\n +Do this\./);
  expect(text).toContain("sharp can't be loaded");
  expect(text).toContain("offline mode is on, HF_TOKEN is set\n  cache /cache: doesn't exist yet");
});
