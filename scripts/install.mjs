// Installs from the lockfile with the pinned pnpm, for those who don't build.
import { fail, installDependencies } from "./workspace.mjs";

if (installDependencies() !== 0) fail("install failed");
