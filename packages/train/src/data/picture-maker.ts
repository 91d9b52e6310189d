/**
 * Makes pictures, off the main thread: decoding, cutting and scenes run in worker threads, decoding itself in sharp's pool.
 *
 * The worker's script stands beside this module in the published package. In the sources (TypeScript) there is none, and
 * pictures are made in the calling thread, where only sharp's own threads help; so `workers` says what is wanted, and
 * `threads` of the result what there is.
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { ConfigError, DataError, EngineError } from "@dcae/core/graph";
import type { Image } from "@dcae/core/image";
import { makePicture, type PictureRecipe, type PictureView } from "./picture-recipe.js";

export interface PictureMaker {
  /** Worker threads; 0 where pictures are made in the calling thread. */
  readonly threads: number;
  /** @throws DataError naming the picture when it can't be read */
  make(recipe: PictureRecipe, view: PictureView): Promise<Image>;
  close(): Promise<void>;
}

export interface PictureRequest {
  readonly id: number;
  readonly recipe: PictureRecipe;
  readonly view: PictureView;
}

export interface PictureAnswer {
  readonly id: number;
  readonly image?: Image;
  readonly error?: { readonly message: string; readonly isData: boolean };
}

const SCRIPT = new URL("./picture-worker.js", import.meta.url);

const hasScript = (): boolean => existsSync(fileURLToPath(SCRIPT));

/** Half of the cores, at most 8: the engine needs the others. */
function defaultWorkers(): number {
  return hasScript() ? Math.min(8, Math.ceil(availableParallelism() / 2)) : 0;
}

interface Pending {
  readonly resolve: (image: Image) => void;
  readonly reject: (error: Error) => void;
  readonly worker: Worker;
}

/**
 * A thread that dies fails the pictures it was making, and another one takes its place.
 *
 * @param workers threads to use; by default half of the cores
 * @param script what they run
 * @throws ConfigError where there is no script for them
 */
export function createPictureMaker(workers: number = defaultWorkers(), script: URL = SCRIPT): PictureMaker {
  if (workers === 0) return { threads: 0, make: makePicture, close: async () => {} };
  if (!existsSync(fileURLToPath(script))) {
    throw new ConfigError(`data: ${workers} threads can't be started, there is no ${fileURLToPath(script)}`, {
      hint: "Build the package, or set workers to 0.",
    });
  }
  const pending = new Map<number, Pending>();
  const load = new Map<Worker, number>();
  let nextId = 0;
  let closed = false;

  function settle(id: number, finish: (request: Pending) => void): void {
    const request = pending.get(id);
    if (request === undefined) return;
    pending.delete(id);
    const busy = load.get(request.worker);
    // A thread that ended isn't in the list, and mustn't come back into it.
    if (busy !== undefined) {
      load.set(request.worker, busy - 1);
      // An idle worker doesn't keep the process alive.
      if (busy === 1) request.worker.unref();
    }
    finish(request);
  }

  function start(): Worker {
    const worker = new Worker(script);
    const failAll = (problem: string, cause?: unknown) => {
      load.delete(worker);
      for (const [id, request] of pending) {
        if (request.worker !== worker) continue;
        settle(id, ({ reject }) => reject(new EngineError(`a thread that reads pictures ${problem}`, { cause })));
      }
    };
    worker.on("message", ({ id, image, error }: PictureAnswer) =>
      settle(id, ({ resolve, reject }) => {
        if (image !== undefined) resolve(image);
        else reject(new (error?.isData === false ? EngineError : DataError)(error?.message ?? "no picture"));
      }),
    );
    worker.on("error", (error) => failAll(`failed: ${error.message}`, error));
    worker.on("exit", (code) => failAll(`ended with exit code ${code}`));
    worker.unref();
    load.set(worker, 0);
    return worker;
  }

  for (let i = 0; i < workers; i++) start();
  return {
    threads: workers,
    async make(recipe, view) {
      if (closed) throw new EngineError("the threads that read pictures were closed");
      let worker = load.size < workers ? start() : undefined;
      for (const [candidate, jobs] of load) {
        if (worker === undefined || jobs < (load.get(worker) ?? 0)) worker = candidate;
      }
      const chosen = worker as Worker;
      const id = nextId++;
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject, worker: chosen });
        load.set(chosen, (load.get(chosen) ?? 0) + 1);
        chosen.ref();
        chosen.postMessage({ id, recipe, view } satisfies PictureRequest);
      });
    },
    async close() {
      closed = true;
      await Promise.all([...load.keys()].map((worker) => worker.terminate()));
    },
  };
}
