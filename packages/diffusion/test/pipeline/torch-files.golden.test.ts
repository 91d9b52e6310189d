/** Denoisers in files of `torch.save`, as the original codes write them: loaded without executing anything, and computed. */

import { existsSync, rmSync } from "node:fs";
import { CheckpointError } from "@dcae/core";
import { expectClose, MODEL_TOLERANCE } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { expect, it } from "vitest";
import { openDenoiser } from "../../src/pipeline/open-denoiser.node.js";
import { loadDenoiser } from "../../src/pipeline/sample-latents.js";
import { goldenPath, loadGolden } from "../support/golden.js";

const engine = useEngine();

it.each([
  // A training checkpoint: another network under "model", the averaged one under "ema", an optimizer, argparse's Namespace.
  ["dit-training.pt", "torch/dit-training"],
  // A state dict in the layout from before PyTorch 1.6.
  ["uvit.pth", "torch/uvit"],
])("%s", async (file, name) => {
  const { config, tensor } = await loadGolden(name);
  const { description, weights, autoencoderWeights } = await openDenoiser(goldenPath(`torch/${file}`), {
    denoiser: { arch: config.arch, model: config.model },
  });
  expect(autoencoderWeights).toBeUndefined();
  const denoiser = loadDenoiser(engine, weights, description.config);
  const y = await denoiser.forward(tensor("in.x"), tensor("in.t"), tensor("in.y"));
  expectClose(y, tensor("out.y"), MODEL_TOLERANCE);
  await denoiser.dispose();
  await weights.close();
});

it("a checkpoint that wants to run a command is refused, and the command isn't run", async () => {
  const executed = "/tmp/dcae-executed";
  rmSync(executed, { force: true });
  const opening = openDenoiser(goldenPath("torch/evil.pt"));
  await expect(opening).rejects.toThrow(CheckpointError);
  await expect(opening).rejects.toThrow(/evil\.pt: pickle at byte \d+: it wants to import "posix\.system"/);
  expect(existsSync(executed)).toBe(false);
});
