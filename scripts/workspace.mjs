// Runs the pinned pnpm, and through it turbo, on a machine that has only Node and npm.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** As in "pnpm@10.34.9". */
export const { packageManager } = manifest;

// pnpm runs from npm's cache at the exact version of package.json: no global install, no corepack, no surprise. Under
// `pnpm exec`, turbo finds that same pnpm on its PATH. Neither tool may report home.
export const environment = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: "1",
  DO_NOT_TRACK: "1",
  NO_UPDATE_NOTIFIER: "1",
};

/**
 * Runs a program in the root (or `cwd`), with `more` in its environment and output to this terminal, and returns its exit
 * status (1 if a signal ended it).
 */
export function run(program, args, cwd = root, more = {}) {
  const env = { ...environment, ...more };
  const { status, error, signal } = start(program, args, { cwd, stdio: "inherit", env });
  if (error) console.error(`${program}: ${error.message}`);
  if (signal) console.error(`${program}: ended by ${signal}`);
  return status ?? 1;
}

/**
 * `spawnSync`, also of npm, npx and what lies in node_modules/.bin, which on Windows are scripts of its shell: Node doesn't
 * start those by themselves.
 */
export function start(program, args, options) {
  if (process.platform !== "win32" || program.endsWith(".exe")) return spawnSync(program, args, options);
  const line = [program, ...args].map((word) => (/^[\w@./:\\=-]+$/.test(word) ? word : `"${word}"`)).join(" ");
  return spawnSync(line, { ...options, shell: true });
}

/** Runs pnpm at the version pinned in package.json. */
export function pnpm(args, cwd = root) {
  return run("npx", ["--yes", packageManager, ...args], cwd);
}

/** Runs one turbo task over the packages that `filters` names (all of them by default). */
export function turbo(task, ...args) {
  return pnpm(["exec", "turbo", "run", task, ...args]);
}

/** Installs from the lockfile. Returns the exit status. */
export function installDependencies() {
  return pnpm(["install", "--frozen-lockfile", "--prefer-offline", "--reporter=append-only"]);
}

/**
 * Installs from the lockfile and builds every published package, without the declarations that nothing here runs; ends the
 * process with a line when either fails.
 */
export function prepare() {
  requireNode();
  if (installDependencies() !== 0) fail("install failed");
  environment.DCAE_BUILD_TYPES = "0";
  const status = turbo("build", "--filter=./packages/*", "--output-logs=errors-only");
  delete environment.DCAE_BUILD_TYPES;
  if (status !== 0) fail("build failed");
}

/** Every package under packages/: its folder, its short name and its package.json. */
export function packages() {
  return readdirSync(join(root, "packages"))
    .map((name) => ({ name, folder: join(root, "packages", name) }))
    .filter(({ folder }) => existsSync(join(folder, "package.json")))
    .map((entry) => ({ ...entry, manifest: JSON.parse(readFileSync(join(entry.folder, "package.json"), "utf8")) }));
}

/** Those that users get. */
export function publishedPackages() {
  return packages().filter(({ manifest }) => !manifest.private);
}

export function fail(message) {
  console.error(message);
  process.exit(1);
}

function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  const [needMajor, needMinor] = manifest.engines.node.replace(">=", "").split(".").map(Number);
  if (major < needMajor || (major === needMajor && minor < needMinor)) {
    fail(
      `Node ${manifest.engines.node} is needed, this is ${process.version}: install a newer one (https://nodejs.org).`,
    );
  }
}
