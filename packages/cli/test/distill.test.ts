/** `dcae distill`: the training that it makes, and what it refuses. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { failWith, succeed } from "./support/cli.js";
import { makeModel, TINY_CONFIG, TINY_KL_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const DATA = ["--data", "synthetic", "--perceptual", "none"];

let model: string;
beforeAll(async () => {
  model = await makeModel(folder, "teacher");
  writeFileSync(at("same.json"), JSON.stringify(TINY_CONFIG));
  const narrow = { width_list: [4, 8, 16], depth_list: [0, 1, 1] };
  writeFileSync(at("decoder.json"), JSON.stringify({ ...TINY_CONFIG, decoder: narrow }));
  writeFileSync(at("encoder.json"), JSON.stringify({ ...TINY_CONFIG, encoder: narrow }));
  writeFileSync(at("neither.json"), JSON.stringify({ ...TINY_CONFIG, encoder: narrow, decoder: narrow }));
});

const shown = async (...argv: readonly string[]) =>
  JSON.parse(await succeed("distill", "-t", model, ...DATA, ...argv, "--show-config"));

test.each([
  ["decoder", ["decoder"]],
  ["encoder", ["encoder"]],
  ["neither", ["encoder", "decoder"]],
])("what the student and its teacher don't have in common trains: %s", async (student, names) => {
  const { name, teacher, phases } = await shown("--student", at(`${student}.json`));
  expect(name).toBe("distill-teacher");
  expect(teacher).toMatchObject({ init: model, latentWeight: 1, decodesWeight: 0 });
  expect(phases).toMatchObject([{ name: "distill", trains: { kind: "names", names }, steps: 20_000, size: 256 }]);
});

test("--show-config gives a file that `dcae train` takes, with all options in it", async () => {
  const numbers = ["--size", "32", "--batch-size", "3", "--accumulate", "2", "--steps", "50", "--lr", "1e-3"];
  const losses = ["--latent-weight", "2", "--decodes-weight", "0.5", "--train", "both", "--gan"];
  const config = await shown("--student", at("decoder.json"), ...numbers, ...losses);
  expect(config.teacher).toMatchObject({ latentWeight: 2, decodesWeight: 0.5 });
  expect(config.phases).toMatchObject([
    { trains: { names: ["encoder", "decoder"] }, size: 32, batch: 3, accumulate: 2, steps: 50 },
    { name: "head", trains: { kind: "phase", phase: 3 }, steps: 10, gan: { weight: 0.5 } },
  ]);
  writeFileSync(at("shown.json"), JSON.stringify(config));
  expect(JSON.parse(await succeed("train", "--config", at("shown.json"), "--show-config"))).toEqual(config);
});

test("--dry-run names the losses and the teacher, and trains nothing", async () => {
  const size = ["--size", "16", "--batch-size", "1", "--out", at("never")];
  const text = await succeed("distill", "-t", model, "--student", at("neither.json"), ...DATA, ...size, "--dry-run");
  expect(text).toContain("distill: 20,000 updates of 1 picture at 16x16, L1 + latents of the teacher");
  expect(text).toContain(`latents of ${model}`);
  expect(existsSync(at("never"))).toBe(false);
});

describe("refused in one line", () => {
  test.each([
    [["-t", "MODEL", ...DATA], "give --student"],
    [["--student", "same.json", ...DATA], "give --teacher (or --resume and the --out of a run)"],
    [["-t", "MODEL", "--student", "decoder.json"], "give --data"],
    [["-t", "MODEL", "--student", "same.json", ...DATA], "is the teacher itself: there is nothing to distill"],
    [["-t", "MODEL", "--student", "nothing", ...DATA], "--student: "],
    [["-t", "MODEL", "--student", "kl.json", ...DATA], "is an SD-VAE, not a DC-AE"],
    [["-t", "MODEL", "--student", "dc-ae-f32c32-in-1.0", ...DATA], "has latents of 8 channels at 1/4, the student 32"],
    [
      ["-t", "MODEL", "--student", "encoder.json", "--train", "decoder", ...DATA],
      "the student's encoder isn't the teacher's",
    ],
    [
      ["-t", "MODEL", "--student", "decoder.json", "--scaling-factor", "2", ...DATA],
      "teacher.scalingFactor: has no meaning",
    ],
  ])("%#", async (argv, message, status = 2) => {
    writeFileSync(at("kl.json"), JSON.stringify(TINY_KL_CONFIG));
    const files = argv.map((word) => (word === "MODEL" ? model : word.endsWith(".json") ? at(word) : word));
    expect(await failWith(status, "distill", ...files)).toContain(message);
  });
});
