/** SIGKILL in the middle: the same command line goes on, and ends with the bits of a run that wasn't killed. */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readResult } from "@dcae/eval";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test } from "vitest";
import { builtCli } from "../support/built-cli.js";
import { makePicture } from "../support/pictures.js";
import { makeModel } from "../support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

beforeAll(async () => {
  await makeModel(folder, "model");
  mkdirSync(at("photos"));
  for (let seed = 0; seed < 64; seed++) await makePicture(at("photos"), `${seed}.png`, 64, 64, seed);
});

/** Names of the parts that are complete. */
function parts(out: string): string[] {
  try {
    return readdirSync(join(out, "parts")).filter((name) => /^\d+\.safetensors$/.test(name));
  } catch {
    return [];
  }
}

test("eval reconstruction", async () => {
  const argv = ["eval", "reconstruction", "-m", at("model"), "--data", at("photos"), "--metrics", "psnr,ssim", "-o"];
  const out = at("killed");
  const killed = await builtCli([...argv, out], (child) => {
    const timer = setInterval(() => {
      if (parts(out).length > 0) child.kill("SIGKILL");
    }, 1);
    child.on("close", () => clearInterval(timer));
  });
  expect(killed).toMatchObject({ signal: "SIGKILL", stdout: "" });
  expect(readdirSync(out)).toEqual(["parts"]);
  const finished = parts(out).length;
  expect(finished).toBeGreaterThan(0);
  expect(finished).toBeLessThan(4);

  const again = await builtCli([...argv, out]);
  expect(again.stderr).toBe(`dcae: reconstruct: ${16 * finished} of 64 pictures done by an earlier run\n`);
  expect(again.status).toBe(0);
  expect(readdirSync(out).sort()).toEqual(["report.html", "result.json"]);

  const whole = await builtCli([...argv, at("whole")]);
  expect(whole).toMatchObject({ status: 0, stderr: "" });
  const [a, b] = [await readResult(join(out, "result.json")), await readResult(at("whole", "result.json"))];
  const { metrics, perPicture, latent } = a;
  expect({ metrics, perPicture, latent }).toEqual({
    metrics: b.metrics,
    perPicture: b.perPicture,
    latent: b.latent,
  });
});
