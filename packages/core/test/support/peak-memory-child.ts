/**
 * A process of its own for max-memory.soak.test.ts: encodes or decodes once, and prints its peak resident memory and what was
 * predicted.
 */
import { readFileSync } from "node:fs";
import { Tensor } from "../../src/graph/index.js";
import { Autoencoder, buildDecodeProgram, buildEncodeProgram } from "../../src/internal/index.js";
import { createEngine, type EngineOptions } from "../../src/runtime/index.js";
import { randomWeights } from "./random-weights.js";
import { tinyF32 } from "./tiny-config.js";

const forms: Record<string, EngineOptions> = {
  mapped: { form: { kind: "plain", packWeights: false } },
  packed: { form: { kind: "plain", packWeights: true } },
  optimized: { optimize: true },
  kept: { optimize: true, programCache: process.env.PROGRAM_CACHE ?? "" },
};

const [part, form, width, height, limit] = process.argv.slice(2) as string[];
const [columns, rows] = [Number(width), Number(height)];
const engine = await createEngine({ device: "cpu", threads: 1, ...forms[form as string] });
const programs = [
  buildEncodeProgram({ kind: "dc-ae", config: tinyF32 }, [1, 3, 32, 32]),
  buildDecodeProgram({ kind: "dc-ae", config: tinyF32 }, [1, 2, 1, 1]),
];
const parameters = new Map(programs.flatMap((program) => [...program.parameters]));
const weights = randomWeights({ parameters }, 23);
const model = new Autoencoder({
  name: "tiny",
  description: { kind: "dc-ae", config: tinyF32, scalingFactor: null, shiftFactor: null },
  weights,
  engine,
});
const shape = part === "encode" ? [1, 3, rows, columns] : [1, 2, rows / 32, columns / 32];
const maxMemory = limit === "none" ? 1e12 : Number(limit);
const { bytes, tiles } = model.planMemory(part as "encode" | "decode", shape, { maxMemory });
// Not zeros: pages that nobody wrote to take no memory.
const x = Tensor.full(shape, 0.5);
await (part === "encode" ? model.encode(x, { maxMemory }) : model.decode(x, { maxMemory }));
await model.dispose();
const status = readFileSync("/proc/self/status", "utf8");
const peak = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024;
process.stdout.write(JSON.stringify({ peak, predicted: bytes, tiles }));
