/** The thread that makes pictures for picture-maker.ts: a request in, an image (its bytes moved, not copied) out. */
import { parentPort } from "node:worker_threads";
import { DataError, errorMessage } from "@dcae/core/graph";
import type { PictureAnswer, PictureRequest } from "./picture-maker.js";
import { makePicture } from "./picture-recipe.js";

parentPort?.on("message", async ({ id, recipe, view }: PictureRequest) => {
  try {
    const image = await makePicture(recipe, view);
    // Pixels may be a view of memory that sharp owns: those bytes alone are sent.
    const data = image.data.slice();
    parentPort?.postMessage({ id, image: { ...image, data } } satisfies PictureAnswer, [data.buffer]);
  } catch (error) {
    const answer = { id, error: { message: errorMessage(error), isData: error instanceof DataError } };
    parentPort?.postMessage(answer satisfies PictureAnswer);
  }
});
