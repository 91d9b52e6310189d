// Runs the examples against the packed @dcae/core, in one empty project: node scripts/run-examples.mjs FOLDER (scripts/packed.mjs).
import { spawn } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inEmptyProject, install, tarballOf } from "./packed.mjs";
import { fail, root, start } from "./workspace.mjs";

const examples = join(root, "examples");
const OFFLINE = { ...process.env, HF_HUB_OFFLINE: "1" };
/** Where the server listens is what it prints. */
const SERVER_ENV = { ...OFFLINE, PORT: "0" };

/** A tiny autoencoder with weights of chance, and two latents of one time, the second of which is the newer. */
const MAKE_PREVIEWED = `
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { Tensor } from "@dcae/core";
import { initialWeights, writeNpyFile, writeSafetensorsFile } from "@dcae/core/checkpoint";
import { describePreset, getPreset, modelParameters, toModelConfigFile } from "@dcae/core/models";
const model = describePreset(getPreset("taesd"));
for (const folder of ["tiny", "latents"]) mkdirSync(folder);
writeFileSync("tiny/config.json", JSON.stringify(toModelConfigFile(model, "diffusers")));
const weights = initialWeights(modelParameters(model), 1);
await writeSafetensorsFile("tiny/diffusion_pytorch_model.safetensors", weights.entries.values());
for (const name of ["latents/000.npy", "latents/001.npy"]) {
  await writeNpyFile(name, Tensor.zeros([4, 8, 8]));
  utimesSync(name, 1, 1);
}
writeFileSync("latents/done", "");
`;

/** What the examples install besides, at the versions that they name. */
function others() {
  const manifests = ["typescript", "vite"].map((name) =>
    JSON.parse(readFileSync(join(examples, name, "package.json"), "utf8")),
  );
  const versions = Object.assign(
    {},
    ...manifests.map((manifest) => ({ ...manifest.dependencies, ...manifest.devDependencies })),
  );
  return Object.entries(versions)
    .filter(([name]) => !name.startsWith("@dcae/"))
    .map(([name, version]) => `${name}@${version}`);
}

const packed = process.argv[2] ?? fail("usage: node scripts/run-examples.mjs FOLDER");
await inEmptyProject(async (project) => {
  install(project, [tarballOf("core", packed), ...others()]);
  for (const name of readdirSync(examples)) {
    if (existsSync(join(examples, name, "package.json")))
      cpSync(join(examples, name), join(project, name), { recursive: true });
  }
  const cat = join(project, "cat.jpg");
  const runs = {
    node: () => {
      const said = execute(project, "node", process.execPath, ["encode.mjs", cat]);
      if (!/cat\.jpg: \[1,32,8,8\], \d+\.\d\d dB/.test(said)) fail(`examples/node says ${said}`);
      expectFiles(project, "node", ["cat.npy", "cat-decoded.png"]);
    },
    commonjs: () => {
      execute(project, "commonjs", process.execPath, ["main.cjs", cat]);
      expectFiles(project, "commonjs", ["reconstructed.png"]);
    },
    typescript: () => {
      execute(project, "typescript", process.execPath, [join(project, "node_modules", "typescript", "bin", "tsc")]);
      const said = execute(project, "typescript", process.execPath, [join("dist", "main.js"), cat]);
      if (!said.includes("2048 numbers, 32 channels of 8x8")) fail(`examples/typescript says ${said}`);
      const wrong = execute(project, "typescript", process.execPath, [join("dist", "main.js"), "nowhere.jpg"], 1);
      if (!/^DataError: nowhere\.jpg/.test(wrong))
        fail(`examples/typescript says of a picture that isn't there: ${wrong}`);
    },
    vite: () => {
      execute(project, "vite", process.execPath, [join(project, "node_modules", "vite", "bin", "vite.js"), "build"]);
      const assets = readdirSync(join(project, "vite", "dist", "assets"));
      for (const pattern of [/\.safetensors$/, /\.wasm$/, /\.js$/]) {
        if (!assets.some((name) => pattern.test(name)))
          fail(`examples/vite: there is no ${pattern} among ${assets.join(", ")}`);
      }
    },
    http: () => checkServer(project, cat),
    previews: () => {
      writeFileSync(join(project, "previews", "make.mjs"), MAKE_PREVIEWED);
      execute(project, "previews", process.execPath, ["make.mjs"]);
      const said = execute(project, "previews", process.execPath, ["previews.mjs", "tiny", "latents", "preview.png"]);
      if (!/^001\.npy: preview\.png, decoded in \d+ ms\n$/.test(said)) fail(`examples/previews says ${said}`);
      expectFiles(project, "previews", ["preview.png"]);
    },
  };
  const there = readdirSync(examples).filter((name) => existsSync(join(examples, name, "package.json")));
  const unchecked = there.filter((name) => !(name in runs));
  if (unchecked.length > 0) fail(`examples that nothing runs: ${unchecked.join(", ")}`);
  for (const [name, check] of Object.entries(runs)) {
    await check();
    console.log(`examples/${name} works`);
  }
});

/** The words of a program of an example. */
function execute(project, name, program, args, expected = 0) {
  const { status, stdout, stderr } = start(program, args, { cwd: join(project, name), encoding: "utf8", env: OFFLINE });
  if (status !== expected) fail(`examples/${name}: ${args.join(" ")} ends with ${status}\n${stdout}\n${stderr}`);
  return `${stdout}${stderr}`;
}

function expectFiles(project, name, files) {
  for (const file of files) if (!existsSync(join(project, name, file))) fail(`examples/${name} wrote no ${file}`);
}

async function checkServer(project, cat) {
  const server = spawn(process.execPath, ["server.mjs"], {
    cwd: join(project, "http"),
    env: SERVER_ENV,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const url = await new Promise((resolve, reject) => {
      server.once("exit", (code) => reject(new Error(`examples/http ended with ${code}`)));
      server.stdout.once("data", (text) => resolve(String(text).trim()));
    });
    const post = (path, body) => fetch(`${url}${path}`, { method: "POST", body });
    const picture = readFileSync(cat);
    const latent = await post("/encode", picture);
    const decoded = await post("/decode", await latent.arrayBuffer());
    const type = decoded.headers.get("content-type");
    if (latent.status !== 200 || decoded.status !== 200 || type !== "image/png") {
      fail(`examples/http: ${latent.status}, ${decoded.status}, ${type}`);
    }
    writeFileSync(join(project, "http", "decoded.png"), Buffer.from(await decoded.arrayBuffer()));
    const refused = [await post("/encode", "no picture"), await post("/encode", Buffer.alloc(11e6)), await fetch(url)];
    const statuses = refused.map(({ status }) => status).join();
    if (statuses !== "400,413,404")
      fail(`examples/http: expected 400,413,404 for what it doesn't take, got ${statuses}`);
    const many = await Promise.all(Array.from({ length: 20 }, () => post("/encode", picture)));
    const counts = [200, 503].map((status) => many.filter((response) => response.status === status).length);
    if (counts[0] < 8 || counts[1] === 0 || counts[0] + counts[1] !== 20)
      fail(`examples/http: of 20 at once ${counts.join(" and ")} of 200 and 503`);
    server.removeAllListeners("exit");
    const done = new Promise((resolve) => server.once("exit", resolve));
    if (process.platform === "win32") return;
    server.kill("SIGTERM");
    const code = await done;
    if (code !== 0) fail(`examples/http: ends with ${code} when it is told to`);
  } finally {
    server.kill("SIGKILL");
  }
}
