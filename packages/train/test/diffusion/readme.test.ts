/** The README's training of a diffusion model is complete: from pictures to a model, as it stands there, with smaller values. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as core from "@dcae/core";
import * as diffusion from "@dcae/diffusion";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import * as trainDiffusion from "../../src/diffusion/index.js";
import { drawScene } from "../../src/scenes/draw-scene.js";

const MODULES = new Map<string, unknown>([
  ["@dcae/core", core],
  ["@dcae/diffusion", diffusion],
  ["@dcae/train/diffusion", trainDiffusion],
]);

const TINY = {
  name: "tiny",
  about: "for tests",
  denoiser: { arch: "uvit", model: { patch_size: 1, hidden_size: 16, depth: 2, num_heads: 2 } },
  data: { path: "elsewhere" },
  batch: 4,
  steps: 100,
  optimizer: { schedule: { kind: "constant", lr: 2e-3 } },
  evaluateOn: 4,
};

/** The code block that mentions `word`, as a program: modules by name, and what `console.log` gets. */
async function programWith(word: string, replacements: Readonly<Record<string, string>>) {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  let code = [...readme.matchAll(/```ts(?: no-run)?\n(.*?)```/gs)]
    .map(([, block]) => block as string)
    .find((b) => b.includes(word));
  if (code === undefined) throw new Error(`the README has no code with ${word}`);
  for (const [from, to] of Object.entries(replacements)) {
    expect(code.split(from), from).toHaveLength(2);
    code = code.replace(from, () => to);
  }
  const body = code.replace(/^import (\{.*\}) from (".*");.*$/gm, "const $1 = modules.get($2);");
  expect(body).not.toContain("import ");
  const create = Object.getPrototypeOf(async () => {}).constructor as FunctionConstructor;
  return create("modules", "console", body) as (
    modules: ReadonlyMap<string, unknown>,
    console: { log(text: string): void },
  ) => Promise<void>;
}

const folder = temporaryFolder();

test("a diffusion training from a program", async () => {
  const photos = join(folder, "photos");
  for (const kind of ["city", "forest"] as const) {
    await mkdir(join(photos, kind), { recursive: true });
    for (const seed of [0, 1, 2]) {
      await core.saveImage(drawScene({ width: 80, height: 64, seed, kind }), join(photos, kind, `${seed}.png`));
    }
  }
  const recipe = join(folder, "tiny.json");
  await writeFile(recipe, JSON.stringify(TINY));
  const said: string[] = [];
  const program = await programWith("trainDiffusion", {
    "usit-scenes": recipe,
    'directory: "data/latents"': `directory: ${JSON.stringify(join(folder, "latents"))}`,
    'path: "data/latents"': `path: ${JSON.stringify(join(folder, "latents"))}`,
    photos,
    "size: 128": "size: 64",
    "steps: 3000": "steps: 3",
    "runs/usit": join(folder, "run"),
  });
  await program(MODULES, { log: (text) => said.push(text) });
  expect(said).toEqual([expect.stringMatching(/run.model: loss \d+\.\d+$/)]);
  const { description, weights } = await diffusion.openDenoiser(join(folder, "run", "model"));
  await weights.close();
  expect(description).toMatchObject({
    classes: ["city", "forest"],
    config: { inChannels: 32, inputSize: 2, depth: 2 },
  });
});
