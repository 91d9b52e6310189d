/**
 * The sources as plain JavaScript, for tests that need processes and threads of their own: a build of this moment, so that no test
 * depends on an older one. Native packages are left where they are.
 */
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type BuildOptions, build, type Plugin } from "esbuild";

const packages = fileURLToPath(new URL("../../../", import.meta.url));
/** Packages with native parts, which core depends on. */
const requireFromCore = createRequire(join(packages, "core", "package.json"));
const NATIVE = /^(onnxruntime-node|onnxruntime-common|sharp)$/;

const workspace: Plugin = {
  name: "workspace",
  setup(builder) {
    builder.onResolve({ filter: /^@dcae\// }, ({ path }) => {
      const [, name, area] = path.split("/") as [string, string, string | undefined];
      return { path: join(packages, name, "src", area ?? "", "index.ts") };
    });
    builder.onResolve({ filter: NATIVE }, ({ path }) => ({
      path: pathToFileURL(requireFromCore.resolve(path)).href,
      external: true,
    }));
  },
};

/**
 * Bundles `entry` into `folder`, with the workers beside it.
 *
 * @returns the path of the bundle
 */
export async function bundleSources(entry: string, folder: string): Promise<string> {
  const shared = {
    outdir: folder,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    // CommonJS packages that are bundled ask for Node's own modules.
    banner: {
      js: 'import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);',
    },
    plugins: [workspace],
    logLevel: "error",
  } as const satisfies BuildOptions;
  const worker = join(packages, "train/src/data/picture-worker.ts");
  await build({ ...shared, entryPoints: [entry, worker], outbase: packages, entryNames: "[name]" });
  const scripts = ["runtime/onnx-worker.mjs", "image/decode-svg-child.mjs"].map((name) =>
    join(packages, "core/src", name),
  );
  await build({ ...shared, entryPoints: scripts, entryNames: "[name]", outExtension: { ".js": ".mjs" } });
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  return join(folder, `${basename(entry, ".ts")}.js`);
}
