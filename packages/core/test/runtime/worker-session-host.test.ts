/** The worker thread's end: what was asked of it fails, what is asked of the next one doesn't. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { afterEach, expect, test } from "vitest";
import { EngineError } from "../../src/errors.js";
import { add, input } from "../../src/graph/ops/elementwise.js";
import { createProgram } from "../../src/graph/program.js";
import { createEngine } from "../../src/runtime/index.js";
import { OnnxEngine } from "../../src/runtime/onnx-engine.js";
import { isLibraryError } from "../../src/runtime/runtime-library.node.js";
import type { SessionHost } from "../../src/runtime/session-host.js";
import { createWorkerSessionHost } from "../../src/runtime/worker-session-host.node.js";

const folder = temporaryFolder();
const FAILING = new URL("../support/failing-worker.mjs", import.meta.url);
const options = () => ({ device: "cpu" as const, externalBuffers: new Map() });
const program = createProgram("sum", { y: add(input("x", [2]), 1) });
let host: SessionHost;
afterEach(() => host.close());

async function makeState(target: SessionHost): Promise<unknown> {
  return target.createState?.();
}

test("a worker that died takes its requests along, and its late exit none of its successor's", async () => {
  host = createWorkerSessionHost(FAILING);
  const old = await host.createSession(new Uint8Array(1), options());
  await expect(makeState(host)).rejects.toThrow(/worker failed: out of memory/);
  // Asked for between the error and the exit of the first worker; answered after both.
  const session = await host.createSession(new Uint8Array(1), options());
  await session.release();
  // What the first worker held is lost, and said to be.
  await expect(old.run(new Map())).rejects.toThrow(/worker failed: out of memory/);
  await old.release();
});

test("closing answers those who wait", async () => {
  host = createWorkerSessionHost(FAILING);
  const session = await host.createSession(new Uint8Array(1), options());
  const waiting = session.run(new Map());
  const loading = host.createSession(new Uint8Array(1), options());
  const outcomes = Promise.allSettled([waiting, loading]);
  await host.close();
  for (const outcome of await outcomes) {
    expect(outcome.status).toBe("rejected");
    expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(EngineError);
    expect((outcome as PromiseRejectedResult).reason.message).toBe("the engine was disposed");
  }
  await expect(host.createSession(new Uint8Array(1), options())).rejects.toThrow("the engine was disposed");
});

test("an engine that is disposed while it loads a program says so to the load", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  host = createWorkerSessionHost();
  const loading = expect(engine.load(program, NO_WEIGHTS)).rejects.toThrow(/can't load "sum": the engine was disposed/);
  await engine.dispose();
  await loading;
  await expect(engine.load(program, NO_WEIGHTS)).rejects.toThrow(/the engine was disposed/);
});

test("an engine closes its host although a program can't be released", async () => {
  host = createWorkerSessionHost();
  const closed: string[] = [];
  const engine = new OnnxEngine(
    {
      name: "stub",
      readsFiles: false,
      createSession: async () => ({
        run: async () => new Map(),
        release: () => Promise.reject(new Error("busy")),
      }),
      close: async () => {
        closed.push("host");
      },
    },
    { device: "cpu" },
  );
  await engine.load(program, NO_WEIGHTS);
  await expect(engine.dispose()).rejects.toThrow("busy");
  expect(closed).toEqual(["host"]);
});

/** A worker as it is where onnxruntime-node lacks: what Node says of its import. */
async function hostThatThrows(name: string, message: string, code: string): Promise<SessionHost> {
  const script = join(folder, `${name}.mjs`);
  await writeFile(script, `throw Object.assign(new Error(${JSON.stringify(message)}), { code: "${code}" });\n`);
  return createWorkerSessionHost(pathToFileURL(script));
}

test.each([
  {
    what: "lacks",
    message: "Cannot find package 'onnxruntime-node' imported from /app/node_modules/@dcae/core/dist/onnx-worker.mjs",
    code: "ERR_MODULE_NOT_FOUND",
    expected: /^onnxruntime-node isn't installed: .*script/,
    hint: /^The CPU needs none of them: (ONNXRUNTIME_NODE_INSTALL=skip )?npm install$/,
  },
  {
    what: "has no build for this machine",
    message: "Cannot find module '../bin/napi-v6/sunos/mips/onnxruntime_binding.node'\nRequire stack:\n- binding.js",
    code: "MODULE_NOT_FOUND",
    expected: /^onnxruntime-node has no library for \S+ on \S+$/,
    hint: /glibc/,
  },
  {
    what: "doesn't load",
    message: "Error loading shared library ld-linux-x86-64.so.2: No such file or directory",
    code: "ERR_DLOPEN_FAILED",
    expected: /^onnxruntime-node's library doesn't load: Error loading shared library/,
    hint: /glibc/,
  },
])("a library that $what is said with what to type", async ({ what, message, code, expected, hint }) => {
  host = await hostThatThrows(what.replace(/\W/g, ""), message, code);
  const error: unknown = await host.createSession(new Uint8Array(1), options()).catch((thrown) => thrown);
  expect(isLibraryError(error)).toBe(true);
  expect((error as EngineError).message).toMatch(expected);
  expect((error as EngineError).hint).toMatch(hint);
});

test("what else ends a worker isn't about the library", async () => {
  host = await hostThatThrows("other", "Cannot find module 'left-pad'", "MODULE_NOT_FOUND");
  const error: unknown = await host.createSession(new Uint8Array(1), options()).catch((thrown) => thrown);
  expect(error).toMatchObject({ message: "the ONNX Runtime worker failed: Cannot find module 'left-pad'" });
  expect(isLibraryError(error)).toBe(false);
});
