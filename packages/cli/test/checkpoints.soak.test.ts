/** A published model of full size, with new weights. */
import { join } from "node:path";
import { getPreset } from "@dcae/core";
import { openSafetensorsFile } from "@dcae/core/checkpoint";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { succeed } from "./support/cli.js";

const folder = temporaryFolder();

test("dcae init of a preset, and what --json says", async () => {
  const out = join(folder, "vae");
  const stdout = await succeed("init", "--preset", "sd-vae-ft-ema", "--dtype", "float16", "-o", out, "--json");
  const { total } = getPreset("sd-vae-ft-ema").parameters;
  expect(JSON.parse(stdout)).toEqual({ out, format: "diffusers", dtype: "float16", seed: "0", parameters: total });
  const file = await openSafetensorsFile(join(out, "diffusion_pytorch_model.safetensors"));
  expect(new Set([...file.entries.values()].map(({ dtype }) => dtype))).toEqual(new Set(["float16"]));
  await file.close();
});
