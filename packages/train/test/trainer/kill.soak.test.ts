/** Processes that are killed: whatever moment it happens, the run can be resumed and ends with the same bits. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { saveImage } from "@dcae/core";
import { createRandom } from "@dcae/core/graph";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test } from "vitest";
import { readMetrics } from "../../src/logging/metrics-log.js";
import { drawScene } from "../../src/scenes/draw-scene.js";
import { openCheckpointFolder } from "../../src/trainer/checkpoint.js";
import { bundleSources } from "../support/bundle-sources.js";
import { ADAPTIVE_MODEL, TINY_EVERYTHING, TINY_PHASES, tinyTraining } from "../support/tiny-training.js";
import { hashFile, statePath } from "../support/train.js";

const STEPS = 24;
const folder = temporaryFolder();
const whole = { name: "phase1", steps: STEPS, checkpointEvery: 1, keep: 2, evaluateEvery: 10 };
const phase = { ...TINY_PHASES.one, ...whole };
// Threads make the pictures here, unlike in the tests of the sources.
const data = { sources: [{ kind: "scenes" as const, count: 9 }], workers: 2, flip: true };
const channels = { counts: [1, 2, 4], draw: 2, always: "largest" as const };
const CONFIGS = {
  plain: JSON.stringify(tinyTraining([phase], { data })),
  everything: JSON.stringify(tinyTraining([{ ...TINY_EVERYTHING, ...whole }], { data })),
  channels: JSON.stringify(tinyTraining([{ ...phase, channels }], { data, model: ADAPTIVE_MODEL })),
  // Together: sides and counts that are drawn, pictures of which some are too small, the best by a metric, CAME.
  combined: JSON.stringify(
    tinyTraining(
      [
        {
          ...{ ...phase, channels, best: "psnr_c4" },
          sizes: [
            { size: 16, share: 2 },
            { size: 8, share: 1 },
          ],
          optimizer: { kind: "came", schedule: { kind: "constant", lr: 1e-3 }, clipNorm: 1 },
          ema: { decay: 0.9, warmupSteps: 4, others: [{ decay: 0.5, warmupSteps: 0 }] },
        },
      ],
      {
        ...{ model: ADAPTIVE_MODEL, validation: { count: 3 } },
        data: { ...data, minSide: 16, sources: [{ kind: "folder", path: join(folder, "pictures") }] },
      },
    ),
  ),
};
type Name = keyof typeof CONFIGS;
let script: string;

interface Ended {
  readonly output: string;
  readonly errors: string;
  readonly code: number | null;
}

/** Trains in a process of its own; `watch` sees it and what it has printed so far. */
function train(
  config: Name,
  name: string,
  watch: (child: ChildProcess, output: string) => void = () => undefined,
): Promise<Ended> {
  const child = spawn(process.execPath, [script, CONFIGS[config], join(folder, config, name)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stderr.on("data", (data) => {
    errors += String(data);
  });
  child.stdout.on("data", (data) => {
    output += String(data);
    watch(child, output);
  });
  child.on("spawn", () => watch(child, output));
  return new Promise((resolve) => child.on("close", (code) => resolve({ output, errors, code })));
}

async function outcome(config: Name, name: string) {
  const run = join(folder, config, name, "phase1");
  const rows = (await readMetrics(join(run, "metrics.jsonl"))).map(
    ({ time, images_per_second, waiting_for_data, ...row }) => row,
  );
  const hashes = [
    statePath(run, STEPS),
    ...["model", "model-ema", "best"].map((kind) => join(run, kind, "model.safetensors")),
  ];
  return { rows, hashes: await Promise.all(hashes.map(hashFile)) };
}

async function bestOf(config: Name, name: string): Promise<number | undefined> {
  const { notes, state } = await openCheckpointFolder(dirname(statePath(join(folder, config, name, "phase1"), STEPS)));
  await state.close();
  return notes.best?.step;
}

const expected = new Map<Name, Awaited<ReturnType<typeof outcome>>>();
beforeAll(async () => {
  await mkdir(join(folder, "pictures"));
  for (let seed = 0; seed < 9; seed++) {
    const side = seed % 3 === 2 ? 15 : 16 + seed;
    await saveImage(drawScene({ width: side, height: side + 2, seed }), join(folder, "pictures", `${seed}.png`));
  }
  script = await bundleSources(
    fileURLToPath(new URL("../support/train-child.ts", import.meta.url)),
    join(folder, "code"),
  );
  for (const config of Object.keys(CONFIGS) as Name[]) {
    const { errors, output } = await train(config, "whole");
    expect([errors, output.trim().split("\n").at(-1)]).toEqual(["", "finished"]);
    expected.set(config, await outcome(config, "whole"));
  }
});

test.each(Object.keys(CONFIGS) as Name[])("SIGKILL at random moments: %s", async (config) => {
  const random = createRandom(11, "kills");
  let kills = 0;
  for (let runs = 0; ; runs++) {
    expect(runs).toBeLessThan(40);
    // While it starts or resumes; or after a few updates and then some: in an update, an evaluation, the writing of files.
    const updates = random.nextInteger(5);
    const delay = random.nextInteger(updates === 0 ? 800 : 30);
    let scheduled = kills >= 7;
    const { output, errors } = await train(config, "killed", (child, printed) => {
      if (scheduled || printed.split("\n").length <= updates) return;
      scheduled = true;
      setTimeout(() => child.kill("SIGKILL"), delay);
    });
    expect(errors).toBe("");
    if (output.endsWith("finished\n")) break;
    kills++;
  }
  expect(kills).toBeGreaterThanOrEqual(3);
  expect(await outcome(config, "killed")).toEqual(expected.get(config));
  const left = await readdir(join(folder, config, "killed", "phase1", "checkpoints"));
  // The newest two, and that of the best evaluation, if it wasn't before the first update.
  const best = (await bestOf(config, "killed")) || STEPS;
  const name = (step: number) => `step-${String(step).padStart(8, "0")}`;
  expect(left).toEqual([...new Set([best, STEPS - 1, STEPS].map(name))].sort());
});

test("SIGTERM and SIGINT save and end the process by itself", async () => {
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    let sent = false;
    const { output, errors, code } = await train("plain", "stopped", (child, printed) => {
      if (!sent && printed !== "") child.kill(name);
      sent = printed !== "";
    });
    expect([errors, code]).toEqual(["", 0]);
    expect(output).toMatch(/stopped\n$/);
  }
  const { output } = await train("plain", "stopped");
  expect(output).toMatch(/finished\n$/);
  expect(await outcome("plain", "stopped")).toEqual(expected.get("plain"));
});
