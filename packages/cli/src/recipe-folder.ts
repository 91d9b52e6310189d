/** The folder of recipes: `configs/` lies one folder above this file, in the sources and in the built package alike. */
import { fileURLToPath } from "node:url";

export const RECIPE_FOLDER: string = fileURLToPath(new URL("../configs/", import.meta.url));
