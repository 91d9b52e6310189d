// `npm run build|typecheck|bench [-- turbo arguments]`: one turbo task, with the pinned pnpm and without telemetry.
// `npm run bench -- fit [--json FILE]`: the costs of convolutions on this machine, which decide between their forms.
import { fail, run, turbo } from "./workspace.mjs";

const [task, ...args] = process.argv.slice(2);
if (!task) fail("usage: node scripts/turbo.mjs <task> [turbo arguments]");
if (task === "bench" && args[0] === "fit") {
  if (turbo("build", "--filter=@dcae/core") !== 0) fail("@dcae/core can't be built");
  process.exit(run(process.execPath, ["packages/core/bench/fit-cpu-costs.mjs", ...args.slice(1)], process.cwd()));
}
process.exit(turbo(task, ...args));
