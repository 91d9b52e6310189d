/** The templates in `examples/cluster`: what can be checked without their engines. `scripts/check-slurm.mjs` runs one of them. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { commandOf } from "./support/command-of.js";

const folder = new URL("../../../examples/cluster/", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, folder), "utf8");
/** A command line as `dcae` gets it. */
const lineOf = (args: readonly string[]) => args.map((arg) => arg.replace("=", " ")).join(" ");

test("every file is named in the list", () => {
  const listed = [...read("README.md").matchAll(/^\| `([\w.-]+)` \|/gm)].map(([, name]) => name);
  expect(listed.sort()).toEqual(
    readdirSync(folder)
      .filter((name) => name !== "README.md")
      .sort(),
  );
});

test("the Indexed Job: one number of parts, statuses that go on, a command line that dcae takes", async () => {
  const { kind, spec } = parse(read("latents-job.yaml"));
  const [container] = spec.template.spec.containers;
  expect([kind, spec.completionMode]).toEqual(["Job", "Indexed"]);
  expect(container.env).toEqual([{ name: "JOB_COMPLETIONS", value: String(spec.completions) }]);
  const [first] = spec.podFailurePolicy.rules;
  expect(first).toMatchObject({ action: "Ignore", onExitCodes: { containerName: container.name, values: [75, 143] } });
  expect(await commandOf(lineOf(container.args))).toBe("latents");
});

test("the MPIJob starts as many ranks as it has slots", async () => {
  const { kind, spec } = parse(read("train-mpijob.yaml"));
  const { Launcher, Worker } = spec.mpiReplicaSpecs;
  const { command, args } = Launcher.template.spec.containers[0];
  expect([kind, ...command]).toEqual(["MPIJob", "mpirun"]);
  expect(Number(args[args.indexOf("-n") + 1])).toBe(Worker.replicas * spec.slotsPerWorker);
  expect(args).toEqual(expect.arrayContaining(["dcae", "train", "--parallel=mpi", "--resume"]));
  const { requests } = Worker.template.spec.containers[0].resources;
  expect(args).toContain(`--threads=${Number(requests.cpu) / spec.slotsPerWorker}`);
  expect(await commandOf(lineOf(args.slice(args.indexOf("dcae") + 1)))).toBe("train");
});

test("the image lets pods of an MPIJob in without anybody to ask", () => {
  const image = read("Dockerfile");
  for (const setting of ["StrictHostKeyChecking no", "UserKnownHostsFile /dev/null", "StrictModes no"]) {
    expect(image).toContain(setting);
  }
});

test("the definition of AWS Batch", async () => {
  const { retryStrategy, containerProperties } = JSON.parse(read("latents-batch.json"));
  const again = retryStrategy.evaluateOnExit.filter(({ action }: { action: string }) => action === "RETRY");
  expect(again.map(({ onExitCode }: { onExitCode?: string }) => onExitCode)).toEqual(["75", "143", "137", undefined]);
  expect(await commandOf(lineOf(containerProperties.command))).toBe("latents");
});

test.each(["latents.sbatch", "train.sbatch"])("%s is a shell script that asks for another start", (name) => {
  const text = read(name);
  expect(text).toMatch(/^#!\/bin\/bash\n/);
  expect(text).toMatch(/^#SBATCH --signal=USR1@\d+/m);
  expect(text).toMatch(/75 \| 137 \| 143\)/);
  expect(text).toContain("scontrol requeue");
});
