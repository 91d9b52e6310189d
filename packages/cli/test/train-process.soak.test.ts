/** Training in the program itself, as it is installed: killed, stopped and resumed. `npm run test:soak` builds it first. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test } from "vitest";
import { killAndResume } from "./support/kill-and-resume.js";
import { TINY_TRAINING, writeTraining } from "./support/tiny-training.js";

const bin = fileURLToPath(new URL("../dist/bin.js", import.meta.url));
const folder = temporaryFolder();
const STEPS = 30;
const [one, , three] = TINY_TRAINING.phases;
// Threads make the pictures, as in real runs.
const config = writeTraining(folder, "killed.json", {
  data: { sources: [{ kind: "scenes", count: 9 }], workers: 2, flip: true },
  phases: [
    { ...one, steps: STEPS, checkpointEvery: 2, evaluateEvery: 10, keep: 2 },
    { ...three, steps: 6, checkpointEvery: 1 },
  ],
});

interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Trains in a process of its own; `watch` is asked every few milliseconds until it ends. */
function train(out: string, watch: (child: ChildProcess) => void, ...argv: readonly string[]): Promise<Ended> {
  const all = [bin, "train", "--out", out, "--device", "cpu", "--threads", "1", ...argv];
  const child = spawn(process.execPath, all, { stdio: ["ignore", "pipe", "pipe"] });
  const words = { stdout: "", stderr: "" };
  child.stdout.on("data", (data) => {
    words.stdout += data;
  });
  child.stderr.on("data", (data) => {
    words.stderr += data;
  });
  const timer = setInterval(() => watch(child), 3);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      clearInterval(timer);
      resolve({ status, signal, ...words });
    });
  });
}

const leave = () => undefined;

/** The last update in the log of a phase, which has rows of evaluations as well. */
function updates(out: string, phase: string): number {
  const log = join(out, phase, "metrics.jsonl");
  // The last line may still be being written.
  const last = existsSync(log) ? readFileSync(log, "utf8").split("\n").at(-2) : undefined;
  return last === undefined ? 0 : JSON.parse(last).step;
}

function outcome(out: string): string[] {
  const files = ["phase1/model", "phase1/model-ema", "phase1/best", "phase3/model"].map((name) =>
    join(out, name, "model.safetensors"),
  );
  const states = [`phase1/checkpoints/step-${String(STEPS).padStart(8, "0")}`, "phase3/checkpoints/step-00000006"];
  return [...files, ...states.map((name) => join(out, name, "state.safetensors"))].map((path) =>
    createHash("sha256").update(readFileSync(path)).digest("hex"),
  );
}

let expected: string[];
beforeAll(async () => {
  if (!existsSync(bin)) throw new Error(`${bin} isn't built: run \`npm run build\` first`);
  const out = join(folder, "whole");
  const { status, stderr } = await train(out, leave, "--config", config);
  if (status !== 0) throw new Error(stderr);
  expected = outcome(out);
});

test("SIGKILL at random moments, then --resume: the same bits", async () => {
  const out = join(folder, "killed");
  const common = ["train", "--out", out, "--device", "cpu", "--threads", "1"];
  const kills = await killAndResume(
    // A run that was killed before it had begun has no settings yet.
    () => [...common, ...(existsSync(join(out, "training.json")) ? ["--resume"] : ["--config", config])],
    { kills: 6, seed: 5, reach: 9, start: 600, progress: () => updates(out, "phase1") + updates(out, "phase3") },
  );
  expect(kills).toBeGreaterThanOrEqual(3);
  expect(outcome(out)).toEqual(expected);
  const left = readdirSync(join(out, "phase1", "checkpoints"));
  expect(left.filter((name) => !name.startsWith("step-"))).toEqual([]);
});

test.skipIf(process.platform === "win32")(
  "SIGINT, SIGTERM and SIGHUP save, end by the signal, and say how to go on",
  async () => {
    const out = join(folder, "stopped");
    for (const [i, name] of (["SIGINT", "SIGTERM", "SIGHUP"] as const).entries()) {
      let sent = false;
      const before = updates(out, "phase1");
      const { signal, stdout, stderr } = await train(
        out,
        (child) => {
          if (sent || updates(out, "phase1") < before + 2) return;
          sent = true;
          child.kill(name);
        },
        ...(i === 0 ? ["--config", config] : ["--resume"]),
      );
      expect(signal).toBe(name);
      const [, step] = /^phase1: stopped after update (\d+), saved as .*step-0*\1\n$/.exec(stdout) ?? [];
      expect(Number(step)).toBeGreaterThan(1);
      expect(stderr).toContain(`dcae: go on with \`dcae train --resume --out ${out}\`\ndcae: interrupted (${name})\n`);
    }
    const { status } = await train(out, leave, "--resume");
    expect(status).toBe(0);
    expect(outcome(out)).toEqual(expected);
  },
);

test.skipIf(process.platform === "win32")(
  "nobody who listens is no reason to stop: closed stdout and stderr",
  async () => {
    const out = join(folder, "unheard");
    let closed = false;
    const { status } = await train(
      out,
      (child) => {
        if (closed || updates(out, "phase1") < 2) return;
        closed = true;
        child.stdout?.destroy();
        child.stderr?.destroy();
      },
      "--config",
      config,
    );
    expect([closed, status]).toEqual([true, 0]);
    expect(outcome(out)).toEqual(expected);
  },
);

test.skipIf(process.platform === "win32")("a terminal that closes: SIGHUP saves with nobody listening", async () => {
  const out = join(folder, "hung-up");
  let closed = false;
  const { signal } = await train(
    out,
    (child) => {
      if (closed || updates(out, "phase1") < 3) return;
      closed = true;
      child.stderr?.destroy();
      child.kill("SIGHUP");
    },
    "--config",
    config,
  );
  expect(signal).toBe("SIGHUP");
  expect(readdirSync(join(out, "phase1", "checkpoints")).length).toBeGreaterThan(0);
  expect((await train(out, leave, "--resume")).status).toBe(0);
  expect(outcome(out)).toEqual(expected);
});
