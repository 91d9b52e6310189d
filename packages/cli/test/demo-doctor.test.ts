import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { saveImage } from "@dcae/core";
import { decodeImage } from "@dcae/core/image";
import { PLACE_VARIABLES } from "@dcae/core/internal";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { drawScene } from "@dcae/train/scenes";
import { expect, test, vi } from "vitest";
import { type Diagnosis, formatDiagnosis } from "../src/commands/doctor.js";
import { failWith, succeed } from "./support/cli.js";

const folder = temporaryFolder();

test("demo: one class, and sizes that the model can't take", async () => {
  const out = join(folder, "demo-one");
  expect(await succeed("demo", "-o", out, "--size", "32", "--scene", "wall")).toContain("  wall ");
  const sheet = await decodeImage(join(out, "reconstructions.png"));
  expect([sheet.width, sheet.height]).toEqual([36, 70]);
  expect(await failWith(2, "demo", "-o", out, "--size", "48")).toContain("multiples of 32");
});

test("the bundled model is a model like any other, by its name", async () => {
  expect(await succeed("info", "small-f32")).toContain("32x32 pixels to 32 channels");
  const picture = join(folder, "planet.png");
  await saveImage(drawScene({ width: 128, height: 128, seed: 2n ** 41n, kind: "planet" }), picture);
  const report = JSON.parse(await succeed("reconstruct", picture, "-m", "small-f32", "-o", folder, "--json"));
  // A picture of one color, the best that no information can do, has 10 dB.
  expect(report.meanPsnr).toBeGreaterThan(16);
  expect(await failWith(2, "info", "small-f32", "--revision", "main")).toContain("--revision");
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
    machine: {
      ...{ platform: "linux", arch: "x64", cores: 1, memoryBytes: 8e9, availableBytes: 4e9 },
      cpu: { set: "avx2", int8: [], known: true },
    },
    runtime: {
      version: "1.30.0",
      devices: [{ device: "cuda", works: false, problem: "no library", hint: "Do this." }],
    },
    pictures: { problem: "sharp can't be loaded" },
    hub: { cache: "/cache", models: 0, offline: true, endpoint: "https://huggingface.co", hasToken: true },
    cluster: { shard: { problem: "no engine" }, variables: {} },
    blockers: [],
  });
  expect(text).toContain("Node 18.0.0: too old, 20.19 or newer is needed");
  expect(text).toContain("1 core, 4.00 GB of 8.00 GB memory available");
  expect(text).toContain("CPU: AVX2; this CPU has no VNNI: int8 takes longer than float32 here");
  expect(text).toMatch(/cuda +no: no library\n +Do this\./);
  expect(text).toContain("sharp can't be loaded");
  expect(text).toContain("offline mode is on, HF_TOKEN is set\n  cache /cache: doesn't exist yet");
  expect(text).toContain("Cluster: no Slurm, no MPI launcher\n  --shard auto: no engine");
});

test("doctor: what a cluster has, and what its engine says about this process", async () => {
  mkdirSync(join(folder, "bin"));
  for (const [name, text] of Object.entries({
    sinfo: "slurm-wlm 22.05.8",
    mpirun: "HYDRA build details:\n  Version:   4.0.2",
  })) {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\nprintf '%s\\n' '${text}'\n`, { mode: 0o755 });
  }
  for (const name of PLACE_VARIABLES) vi.stubEnv(name, undefined);
  vi.stubEnv("PATH", `${join(folder, "bin")}:/bin`)
    .stubEnv("SLURM_ARRAY_TASK_ID", "3")
    .stubEnv("SLURM_ARRAY_TASK_COUNT", "8");
  try {
    const diagnosis: Diagnosis = JSON.parse(await succeed("doctor", "--json"));
    expect(diagnosis.cluster).toEqual({
      slurm: "slurm-wlm 22.05.8",
      mpi: "MPICH, Version: 4.0.2",
      shard: { part: "4/8", source: "SLURM_ARRAY_TASK_ID=3 of SLURM_ARRAY_TASK_COUNT=8" },
      variables: { SLURM_ARRAY_TASK_ID: "3", SLURM_ARRAY_TASK_COUNT: "8" },
    });
    const text = formatDiagnosis(diagnosis);
    expect(text).toContain(
      "Cluster: slurm-wlm 22.05.8, MPICH, Version: 4.0.2\n  --shard auto: 4/8, by SLURM_ARRAY_TASK_ID=3",
    );
    vi.stubEnv("JOB_COMPLETION_INDEX", "1").stubEnv("JOB_COMPLETIONS", "8");
    expect(await succeed("doctor")).toMatch(/--shard auto: SLURM_ARRAY_TASK_ID=3 .* contradict each other/);
  } finally {
    vi.unstubAllEnvs();
  }
});
