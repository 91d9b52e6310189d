// The packages as they would be published, and empty projects that install them.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environment, fail, pnpm, publishedPackages, root, start } from "./workspace.mjs";

/** Packs a package into `<folder>/<its short name>`. Returns the exit status. */
export function pack({ name, folder: source }, folder) {
  const target = join(folder, name);
  mkdirSync(target, { recursive: true });
  return pnpm(["pack", "--pack-destination", target], source);
}

/** The file that `pack` wrote, or one that isn't there. */
export function tarballOf(name, folder) {
  const target = join(folder, name);
  return join(target, readdirSync(target).find((file) => file.endsWith(".tgz")) ?? "missing.tgz");
}

/** The files of all published packages, by what they are imported as. */
export function tarballs(folder) {
  return Object.fromEntries(publishedPackages().map(({ name, manifest }) => [manifest.name, tarballOf(name, folder)]));
}

/** The first lines of code of the README, as they stand there. */
export function firstProgram() {
  const [, program] = /```ts\n(.*?)```/s.exec(readFileSync(join(root, "README.md"), "utf8")) ?? [];
  if (program === undefined) throw new Error("README.md has no program");
  return program;
}

/** Installs packed packages in a project, without anything of other places than npm. */
export function install(
  project,
  files,
  [program, ...args] = ["npm", "install"],
  more = { ONNXRUNTIME_NODE_INSTALL: "skip" },
) {
  const env = { ...environment, ...more };
  const { status, stdout, stderr } = start(program, [...args, ...files], { cwd: project, encoding: "utf8", env });
  if (status !== 0) fail(`${program} ${args.join(" ")}: ends with ${status}\n${stdout}\n${stderr}`);
}

/** Runs the README's first lines in a project, without the hub. */
export function runFirstProgram(project) {
  writeFileSync(join(project, "first.mjs"), firstProgram());
  return spawnSync(process.execPath, ["first.mjs"], {
    cwd: project,
    encoding: "utf8",
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
}

/** Lets `work` use an empty project with the picture that the README's lines read, and removes it. */
export async function inEmptyProject(work) {
  const folder = mkdtempSync(join(tmpdir(), "dcae-project-"));
  try {
    writeFileSync(
      join(folder, "package.json"),
      `${JSON.stringify({ name: "project", private: true, type: "module" })}\n`,
    );
    copyFileSync(join(root, "apps", "docs", "public", "compression.jpg"), join(folder, "cat.jpg"));
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As in "12.3 MB". */
export const formatMegabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
