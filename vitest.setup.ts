/** What every test file needs, since files share their process and the machine. */
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";
import { afterAll } from "vitest";

const environment = { ...process.env };
const folder = process.cwd();

// Where nothing else is said, engines take one thread. As many as there are cores in each of as many processes would wait for
// each other, and how sums are divided among threads would make results depend on the machine.
os.availableParallelism = () => 1;
syncBuiltinESMExports();

// What a file changes in the environment is put back before the next one.
afterAll(() => {
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
  Object.assign(process.env, environment);
  if (process.cwd() !== folder) process.chdir(folder);
});
