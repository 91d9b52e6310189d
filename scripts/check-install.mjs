// Installs the packed @dcae/core in empty projects, as the README says, and runs the README's first lines there.
//
// node scripts/check-install.mjs npm|pnpm|yarn FOLDER, a folder of packed packages (scripts/packed.mjs). Without an argument
// everything is packed first, from what is built.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inEmptyProject, install, pack, runFirstProgram, tarballOf } from "./packed.mjs";
import { fail, packageManager, publishedPackages } from "./workspace.mjs";

/** What the script of onnxruntime-node refuses before it asks for anything: as where nothing outside of npm can be reached. */
const SCRIPT_FAILS = { ONNXRUNTIME_NODE_INSTALL: "none-of-this-name" };

/** By manager: how a file is added, once as its users do and once without scripts. */
const MANAGERS = {
  npm: { add: ["npm", "install"], quiet: ["--ignore-scripts"] },
  pnpm: { add: ["npx", "--yes", packageManager, "add"], quiet: ["--ignore-scripts"] },
  yarn: { add: ["npx", "--yes", "yarn@1.22.22", "add", "--no-progress"], quiet: ["--ignore-scripts"] },
};

const [manager, folder] = process.argv.slice(2);
if (manager === undefined) {
  const target = mkdtempSync(join(tmpdir(), "dcae-pack-"));
  try {
    const [core] = publishedPackages().filter(({ name }) => name === "core");
    if (pack(core, target) !== 0) fail("can't pack core");
    for (const name of Object.keys(MANAGERS)) await checkManager(name, target);
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
} else {
  if (!(manager in MANAGERS)) fail(`${manager}: none of ${Object.keys(MANAGERS).join(", ")}`);
  await checkManager(manager, folder);
}

async function checkManager(name, packed) {
  const { add, quiet } = MANAGERS[name];
  const core = tarballOf("core", packed);
  await inEmptyProject((project) => {
    // The script fails, the install must not.
    install(project, [core], add, SCRIPT_FAILS);
    const { status, stderr } = runFirstProgram(project);
    if (status !== 0) {
      const expected = "EngineError: onnxruntime-node isn't installed";
      if (!stderr.includes(expected) || !stderr.includes("ONNXRUNTIME_NODE_INSTALL=skip npm install")) {
        fail(`${name}: without the library, expected "${expected}" and the line to type, got\n${stderr}`);
      }
      console.log(`${name}: left the library out, and the program says what to type`);
      install(project, [core], add);
    }
    mustRun(project, name);
  });
  await inEmptyProject((project) => {
    install(project, [core], [...add, ...quiet], {});
    mustRun(project, `${name} ${quiet.join(" ")}`);
  });
}

function mustRun(project, what) {
  const { status, stderr } = runFirstProgram(project);
  if (status !== 0) fail(`${what}: the first lines of README.md end with ${status}\n${stderr}`);
  if (!existsSync(join(project, "cat-decoded.png"))) fail(`${what}: the first lines of README.md wrote no picture`);
  console.log(`${what}: the first lines of README.md ran`);
}
