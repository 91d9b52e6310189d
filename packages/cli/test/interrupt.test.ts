/** Ctrl-C: the command stops at once, leaves nothing half-written, and says 130 (SIGTERM: 143, SIGUSR1: 75). */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ClassConditionalPipeline } from "@dcae/diffusion";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test, vi } from "vitest";
import { Interrupted } from "../src/errors.js";
import { cli } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeDenoiser } from "./support/tiny-denoisers.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

let m: string;
let pictures: string[];
beforeAll(async () => {
  m = await makeModel(folder, "model");
  pictures = await Promise.all([1, 2].map((seed) => makePicture(folder, `${seed}.png`, 32, 32, seed)));
});

/** Runs a command line that is interrupted when progress first shows `step`. */
async function interrupt(step: RegExp, argv: readonly string[], signal: NodeJS.Signals = "SIGINT") {
  const controller = new AbortController();
  let shown = "";
  const outcome = await cli(argv, {
    signal: controller.signal,
    onTerminal: (text) => {
      shown += text;
      if (step.test(shown)) controller.abort(new Interrupted(signal));
    },
  });
  expect(outcome.stderr).toContain(`dcae: interrupted (${signal})\n`);
  return outcome.status;
}

test.each<[string, RegExp, readonly string[]]>([
  ["init", /write .*%/, ["init", "--config", at("model-config.json"), "-o", at("fresh")]],
  ["convert", /write .*%/, ["convert", "--from", at("model"), "--to", at("converted"), "--format", "diffusers"]],
  ["export", /write encoder/, ["export", "-m", at("model"), "-o", at("onnx")]],
  ["encode to one file", /encode /, ["encode", at("1.png"), at("2.png"), "-m", at("model"), "-o", at("z.npy")]],
  ["encode to a folder", /encode /, ["encode", at("1.png"), at("2.png"), "-m", at("model"), "-o", at("latents")]],
  ["reconstruct", /reconstruct /, ["reconstruct", at("1.png"), "-m", at("model"), "-o", at("out")]],
  ["loading", /loading /, ["encode", at("1.png"), "-m", at("model"), "-o", at("z.npy")]],
])("%s", async (_, step, argv) => {
  const before = readdirSync(folder);
  expect(await interrupt(step, argv)).toBe(130);
  expect(readdirSync(folder)).toEqual(before);
});

test("a diffusion model that was being opened is closed once it is there", async () => {
  const denoiser = await makeDenoiser(folder, "denoiser", { autoencoder: "../model" });
  const controller = new AbortController();
  const closed = vi.spyOn(ClassConditionalPipeline.prototype, "dispose");
  const open = ClassConditionalPipeline.fromPretrained;
  const opening = vi.spyOn(ClassConditionalPipeline, "fromPretrained").mockImplementation(async (...options) => {
    const pipeline = await open.apply(ClassConditionalPipeline, options);
    controller.abort(new Interrupted("SIGINT"));
    return pipeline;
  });
  try {
    const argv = ["sample", "-m", denoiser, "--labels", "cat", "-o", at("x.png")];
    expect((await cli(argv, { signal: controller.signal })).status).toBe(130);
    await vi.waitFor(() => expect(closed).toHaveBeenCalledOnce());
    await closed.mock.results[0]?.value;
  } finally {
    closed.mockRestore();
    opening.mockRestore();
  }
});

test("what was complete before stays", async () => {
  // The missing picture is named after the first one was written.
  const [first, second] = pictures as [string, string];
  const argv = ["encode", first, at("missing.png"), second, "-m", m, "-o", at("partly")];
  expect(await interrupt(/missing\.png: can't read/, argv, "SIGTERM")).toBe(143);
  expect(readdirSync(at("partly"))).toEqual(["1.npy"]);
});

test("a cluster's SIGUSR1 asks for another start", async () => {
  const argv = ["encode", ...pictures, "-m", m, "-o", at("again")];
  expect(await interrupt(/encode /, argv, "SIGUSR1")).toBe(75);
});
