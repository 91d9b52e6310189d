/**
 * An engine that runs one program together with other ranks: where it sums over ranks, the program is split (split-program.ts), and the
 * ranks exchange between its parts.
 *
 * The state is that of the engine below, with what goes from part to part beside it; who reads the state sees only its own.
 */
import type { Weights } from "@dcae/core/checkpoint";
import { EngineError, type Program, sizeOf, Tensor } from "@dcae/core/graph";
import type { Communicator } from "@dcae/core/internal";
import type { Engine, EngineState, LoadedProgram, NamedTensors } from "@dcae/core/runtime";
import { CARRIED, type ProgramPart, type SplitProgram, splitProgram } from "./split-program.js";

export interface RanksEngine extends Engine {
  /**
   * How many exchanges of the last runs went by before this rank gave something that isn't finite; Infinity where it never did.
   * Asking starts the count anew.
   */
  takeFirstNonFinite(): number;
}

export function createRanksEngine(engine: Engine, ranks: Communicator): RanksEngine {
  const states = new WeakMap<EngineState, EngineState>();
  let exchanges = 0;
  let firstNonFinite = Number.POSITIVE_INFINITY;

  /** One exchange for all sums behind a part. */
  async function exchange(part: ProgramPart, outputs: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    const shapes = part.sums.map(({ value }) => value.shape as readonly number[]);
    const joined = new Float32Array(shapes.reduce((sum, shape) => sum + sizeOf(shape), 0));
    const offsets: number[] = [];
    let offset = 0;
    for (const [i, { output }] of part.sums.entries()) {
      joined.set((outputs[output] as Tensor).toFloat32(), offset);
      offsets.push(offset);
      offset += sizeOf(shapes[i] as number[]);
    }
    const wrong = await ranks.sum(joined);
    if (wrong !== -1) firstNonFinite = Math.min(firstNonFinite, exchanges);
    exchanges++;
    return Object.fromEntries(
      part.sums.map(({ input }, i) => {
        const shape = shapes[i] as number[];
        const start = offsets[i] as number;
        return [input, Tensor.float32(joined.slice(start, start + sizeOf(shape)), shape)];
      }),
    );
  }

  async function loadSplit(
    { parts, carried, names }: SplitProgram,
    weights: Weights,
    state: EngineState,
  ): Promise<LoadedProgram> {
    for (const [name, { shape, dtype }] of carried) {
      await state.write({ [name]: Tensor.zeros(shape as number[], dtype) });
    }
    const loaded: LoadedProgram[] = [];
    for (const { program } of parts) loaded.push(await engine.load(program, weights, { state }));
    let last: Promise<unknown> = Promise.resolve();

    async function runParts(inputs: NamedTensors): Promise<Record<string, Tensor>> {
      const known: Record<string, Tensor> = { ...inputs };
      const results: Record<string, Tensor> = {};
      for (const [i, part] of parts.entries()) {
        const own = Object.fromEntries([...part.program.inputs.keys()].map((name) => [name, known[name] as Tensor]));
        const outputs = await (loaded[i] as LoadedProgram).run(own);
        if (part.sums.length > 0) Object.assign(known, await exchange(part, outputs));
        for (const { output } of part.sums) delete outputs[output];
        Object.assign(results, outputs);
      }
      return Object.fromEntries(names.map((name) => [name, results[name] as Tensor]));
    }

    return {
      run(inputs) {
        const result = last.then(() => runParts(inputs));
        last = result.catch(() => undefined);
        return result;
      },
      async dispose() {
        await last;
        await Promise.all(loaded.map((part) => part.dispose()));
      },
    };
  }

  return {
    ...(engine.dtype === undefined ? {} : { dtype: engine.dtype }),
    ...(engine.rewrite === undefined
      ? {}
      : { rewrite: (program: Program) => (engine.rewrite as NonNullable<Engine["rewrite"]>)(program) }),
    ...(engine.predictMemory === undefined
      ? {}
      : {
          predictMemory: (program: Program) => (engine.predictMemory as NonNullable<Engine["predictMemory"]>)(program),
        }),
    name: engine.name,
    device: engine.device,
    async createState(initial) {
      const inner = await engine.createState(initial);
      const outer: EngineState = {
        get specs() {
          return new Map([...inner.specs].filter(([name]) => !name.startsWith(CARRIED)));
        },
        write: (tensors) => inner.write(tensors),
        read: (name) => inner.read(name),
        readAll: (names) => inner.readAll(names ?? outer.specs.keys()),
        dispose: () => inner.dispose(),
      };
      states.set(outer, inner);
      return outer;
    },
    async load(program, weights, options = {}) {
      const { state } = options;
      const inner = state === undefined ? undefined : (states.get(state) ?? state);
      const split = splitProgram(program);
      if (split === undefined) return engine.load(program, weights, { state: inner });
      if (inner === undefined) throw new EngineError(`"${program.name}": a sum over ranks needs a state`);
      return loadSplit(split, weights, inner);
    },
    takeFirstNonFinite() {
      const first = firstNonFinite;
      exchanges = 0;
      firstNonFinite = Number.POSITIVE_INFINITY;
      return first;
    },
    dispose: () => engine.dispose(),
  };
}
