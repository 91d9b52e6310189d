/** `--max-memory` of the program itself: its peak resident memory stays below the limit. `npm run test:soak` builds it first. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { makePicture } from "./support/pictures.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

describe.runIf(process.platform === "linux")("peak resident memory of the command", () => {
  let m: string;
  let picture: string;
  let script: string;
  beforeAll(async () => {
    m = await makeModel(folder, "model");
    picture = await makePicture(folder, "wall.png", 3072, 2048);
    const bin = new URL("../dist/bin.js", import.meta.url).pathname;
    // The command prints nothing about itself: a script around it does.
    script = at("peak.mjs");
    writeFileSync(
      script,
      `process.on("exit", () => process.stderr.write(String(process.resourceUsage().maxRSS * 1024)));
       await import(${JSON.stringify(bin)});`,
    );
  });

  async function peak(command: string, input: string, output: string, ...flags: string[]): Promise<number> {
    const argv = [command, input, "-m", m, "-o", at(output), "--threads", "1", ...flags];
    const { stderr } = await promisify(execFile)(process.execPath, [script, ...argv]);
    return Number(stderr);
  }

  test("stays below the limit where it doesn't without", async () => {
    for (const [command, input, output] of [
      ["encode", picture, "z.npy"],
      ["decode", at("z.npy"), "picture.npy"],
    ] as const) {
      const whole = await peak(command, input, output);
      const limit = Math.round((0.85 * whole) / 1e6);
      expect(await peak(command, input, output, "--max-memory", `${limit}MB`)).toBeLessThanOrEqual(limit * 1e6);
    }
  });
});
