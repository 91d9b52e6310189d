/** Every quick start begins with the same lines, which run as they stand there, without a network. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { drawScene } from "@dcae/test-support/scenes";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test, vi } from "vitest";
import * as core from "../src/index.js";

const folder = temporaryFolder();
const root = new URL("../../../", import.meta.url);

const firstProgram = async (path: string) =>
  /```ts\n(.*?)```/s.exec(await readFile(new URL(path, root), "utf8"))?.[1] ?? `${path} has no program`;

test.each(["packages/core/README.md", "apps/docs/getting-started.md", "apps/docs/index.md"])(
  "%s begins as the README does",
  async (path) => expect(await firstProgram(path)).toBe(await firstProgram("README.md")),
);

const READMES = ["core", "train", "diffusion", "eval", "cli"].map((name) => `packages/${name}/README.md`);

test.each(["README.md", "apps/docs/getting-started.md", ...READMES])(
  "%s says how to install without the script of ONNX Runtime, before any code",
  async (path) => {
    const text = await readFile(new URL(path, root), "utf8");
    const line = text.search(/^ONNXRUNTIME_NODE_INSTALL=skip npm install .*@dcae\/\w+$/m);
    expect(line).toBeGreaterThan(0);
    const code = text.indexOf("```ts");
    expect(code === -1 || line < code).toBe(true);
  },
);

test("that variable is what the install script asks", async () => {
  const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-node/package.json"));
  const { scripts } = JSON.parse(await readFile(join(runtime, "package.json"), "utf8"));
  expect(scripts.postinstall).toBe("node ./script/install");
  const asked = await readFile(join(runtime, "script", "install-utils.js"), "utf8");
  expect(asked).toContain("process.env.ONNXRUNTIME_NODE_INSTALL");
});

test("the first lines run offline", async () => {
  await core.saveImage(drawScene({ width: 96, height: 64, seed: 1, kind: "city" }), join(folder, "cat.jpg"));
  const program = await firstProgram("README.md");
  expect(program.split("\n").filter((line) => line.startsWith("import "))).toHaveLength(1);
  const body = program
    .replace(/^import (\{.*\}) from "@dcae\/core";$/m, "const $1 = core;")
    .replaceAll('"cat', `"${folder}/cat`)
    .concat("return { ae, latent };");
  const create = Object.getPrototypeOf(async () => {}).constructor as FunctionConstructor;
  vi.stubGlobal("fetch", () => {
    throw new Error("no request should be made");
  });
  try {
    const { ae, latent } = await (
      create("core", body) as (names: typeof core) => Promise<{
        ae: core.AutoencoderDC;
        latent: core.Tensor;
      }>
    )(core);
    await ae.dispose();
    expect(latent.shape).toEqual([1, 32, 8, 8]);
    expect(existsSync(join(folder, "cat-decoded.png"))).toBe(true);
  } finally {
    vi.unstubAllGlobals();
  }
});
