// `npm run build|typecheck|bench [-- turbo arguments]`: one turbo task, with the pinned pnpm and without telemetry.
import { fail, turbo } from "./workspace.mjs";

const [task, ...args] = process.argv.slice(2);
if (!task) fail("usage: node scripts/turbo.mjs <task> [turbo arguments]");
process.exit(turbo(task, ...args));
