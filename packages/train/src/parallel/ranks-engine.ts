/**
 * An engine that runs one program together with other ranks: where it sums over ranks, the program is split (split-program.ts), and the
 * ranks exchange between its parts.
 *
 * The state is that of the engine below, with what goes from part to part beside it; who reads the state sees only its own. What one
 * rank alone updates and needs (moments, averages) is in its state alone, until `gatherState`.
 */
import type { Weights } from "@dcae/core/checkpoint";
import { EngineError, type Program, sizeOf, Tensor, type Value } from "@dcae/core/graph";
import { type Communicator, shareInRounds } from "@dcae/core/internal";
import type { Engine, EngineState, LoadedProgram, NamedTensors } from "@dcae/core/runtime";
import {
  CARRIED,
  handedOutput,
  type OwnedUpdate,
  type ProgramPart,
  type SplitProgram,
  splitProgram,
} from "./split-program.js";

export interface RanksEngine extends Engine {
  /**
   * For each rank, how many exchanges of the last runs went by before it gave something that isn't finite, as far as this one saw it;
   * `NEVER` where it didn't. Asking starts the count anew.
   */
  takeFirstNonFinite(): number[];
  /** Brings updates that stayed with the ranks that made them into every rank's state. All ranks call it together. */
  gatherState(state: EngineState): Promise<void>;
}

export const isRanksEngine = (engine: Engine): engine is RanksEngine => "gatherState" in engine;

/** JSON has no Infinity. */
export const NEVER = Number.MAX_SAFE_INTEGER;

/** Where tensors that belong to ranks lie in blocks of one length, a block for each rank; in elements. */
interface Blocks {
  readonly length: number;
  readonly offsets: readonly number[];
}

/** Elements between starts of tensors: those of a line of the cache. */
const ALIGNMENT = 16;

function layOut(items: readonly { readonly owner: number; readonly value: Value }[], size: number): Blocks {
  const filled = Array.from({ length: size }, () => 0);
  const within = items.map(({ owner, value }) => {
    const offset = filled[owner] as number;
    filled[owner] = offset + ALIGNMENT * Math.ceil(sizeOfValue(value) / ALIGNMENT);
    return offset;
  });
  const length = Math.max(0, ...filled);
  return { length, offsets: items.map(({ owner }, i) => owner * length + (within[i] as number)) };
}

const sizeOfValue = ({ shape }: Value) => sizeOf(shape as readonly number[]);

/** What a state holds of this process's own, and of other ranks'. */
interface RanksState {
  readonly inner: EngineState;
  /** Updates that other ranks' states don't have, by name. */
  readonly kept: Map<string, OwnedUpdate>;
}

export function createRanksEngine(engine: Engine, ranks: Communicator): RanksEngine {
  const { rank, size } = ranks;
  const states = new WeakMap<EngineState, RanksState>();
  let exchanges = 0;
  let firstNonFinite = ranks.names.map(() => NEVER);

  function noteNonFinite(who: number): void {
    firstNonFinite[who] = Math.min(firstNonFinite[who] as number, exchanges);
  }

  /** One exchange for all sums behind a part. */
  async function sum(sums: ProgramPart["sums"], outputs: Readonly<Record<string, Tensor>>): Promise<NamedTensors> {
    const joined = new Float32Array(sums.reduce((total, { value }) => total + sizeOfValue(value), 0));
    const offsets: number[] = [];
    let offset = 0;
    for (const { output, value, owner = rank } of sums) {
      if (owner === rank) joined.set((outputs[output] as Tensor).toFloat32(), offset);
      offsets.push(offset);
      offset += sizeOfValue(value);
    }
    if (joined.length > 0 && (await ranks.sum(joined)) !== -1) noteNonFinite(rank);
    return Object.fromEntries(
      sums.map(({ target, value: { shape } }, i) => {
        const start = offsets[i] as number;
        const own = joined.slice(start, start + sizeOf(shape as number[]));
        return [target, Tensor.float32(own, shape as number[])];
      }),
    );
  }

  /** Each rank gets the sums that it needs into its state. */
  async function reduce(
    reduced: ProgramPart["reduced"],
    outputs: Readonly<Record<string, Tensor>>,
    room: Float32Array,
    { length, offsets }: Blocks,
    state: EngineState,
  ): Promise<void> {
    for (const [i, { output }] of reduced.entries()) room.set((outputs[output] as Tensor).toFloat32(), offsets[i]);
    const own = new Float32Array(length);
    for (const who of await ranks.sumBlocks(room, own)) noteNonFinite(who);
    const tensors = reduced.flatMap(({ target, owner, value }, i) => {
      if (owner !== rank) return [];
      const start = (offsets[i] as number) - rank * length;
      return [[target, Tensor.float32(own.subarray(start, start + sizeOfValue(value)), value.shape as number[])]];
    });
    await state.write(Object.fromEntries(tensors), { isGiven: true });
  }

  /** Each rank's new values into all ranks' states. */
  async function hand(
    handed: readonly OwnedUpdate[],
    outputs: Readonly<Record<string, Tensor>>,
    { length, offsets }: Blocks,
    state: EngineState,
  ): Promise<void> {
    const own = new Float32Array(length);
    for (const [i, { name, owner }] of handed.entries()) {
      if (owner !== rank) continue;
      own.set((outputs[handedOutput(name)] as Tensor).toFloat32(), (offsets[i] as number) - rank * length);
    }
    const all = new Float32Array(length * size);
    await ranks.shareBlocks(own, all);
    const tensors = handed.map(({ name, value }, i) => {
      const start = offsets[i] as number;
      return [name, Tensor.float32(all.subarray(start, start + sizeOfValue(value)), value.shape as number[])];
    });
    await state.write(Object.fromEntries(tensors), { isGiven: true });
  }

  async function gatherKept({ inner, kept }: RanksState): Promise<void> {
    await shareInRounds(ranks, {
      items: [...kept.values()],
      ownerOf: ({ owner }) => owner,
      sizeOf: ({ value }) => sizeOfValue(value),
      read: async ({ name }) => (await inner.read(name)).toFloat32(),
      write: ({ name, value }, data) =>
        inner.write({ [name]: Tensor.float32(data.slice(), value.shape as number[]) }, { isGiven: true }),
    });
    kept.clear();
  }

  async function loadSplit(
    program: Program,
    { parts, carried, names, handed, kept }: SplitProgram,
    weights: Weights,
    state: RanksState,
  ): Promise<LoadedProgram> {
    const { inner } = state;
    for (const [name, { shape, dtype }] of carried) {
      await inner.write({ [name]: Tensor.zeros(shape as number[], dtype) });
    }
    const loaded: (LoadedProgram | undefined)[] = [];
    for (const part of parts) {
      loaded.push(part.program && (await engine.load(part.program, weights, { state: inner })));
    }
    const blocks = parts.map(({ reduced }) => layOut(reduced, size));
    // New memory at every update would take longer than the exchange.
    const rooms = blocks.map(({ length }) => new Float32Array(length * size));
    const handedBlocks = layOut(handed, size);
    const owners = new Map(kept.map(({ name, owner }) => [name, owner]));
    let last: Promise<unknown> = Promise.resolve();

    async function runPart(i: number, known: NamedTensors): Promise<Record<string, Tensor>> {
      const part = loaded[i];
      if (part === undefined) return {};
      const own = [...((parts[i] as ProgramPart).program as Program).inputs.keys()];
      return part.run(Object.fromEntries(own.map((name) => [name, known[name] as Tensor])));
    }

    async function runParts(inputs: NamedTensors): Promise<Record<string, Tensor>> {
      // Another program may have left values of this one's with other ranks.
      const isElsewhere = ({ name, owner }: OwnedUpdate) => program.parameters.has(name) && owners.get(name) !== owner;
      if ([...state.kept.values()].some(isElsewhere)) await gatherKept(state);
      const known: Record<string, Tensor> = { ...inputs };
      const results: Record<string, Tensor> = {};
      for (const [i, { sums, reduced }] of parts.entries()) {
        Object.assign(results, await runPart(i, known));
        if (sums.length === 0 && reduced.length === 0) continue;
        Object.assign(known, await sum(sums, results));
        if (reduced.length > 0) {
          await reduce(reduced, results, rooms[i] as Float32Array, blocks[i] as Blocks, inner);
        }
        for (const { output } of [...sums, ...reduced]) delete results[output];
        exchanges++;
      }
      if (handed.length > 0) await hand(handed, results, handedBlocks, inner);
      for (const update of kept) state.kept.set(update.name, update);
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
        await Promise.all(loaded.map((part) => part?.dispose()));
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
        write: (tensors, options) => inner.write(tensors, options),
        read: (name) => inner.read(name),
        readAll: (names) => inner.readAll(names ?? outer.specs.keys()),
        dispose: () => inner.dispose(),
      };
      states.set(outer, { inner, kept: new Map() });
      return outer;
    },
    async load(program, weights, options = {}) {
      const { state } = options;
      const own = state === undefined ? undefined : states.get(state);
      const split = splitProgram(program, ranks);
      if (split === undefined) return engine.load(program, weights, { state: own?.inner ?? state });
      if (own === undefined) throw new EngineError(`"${program.name}": a sum over ranks needs a state`);
      return loadSplit(program, split, weights, own);
    },
    takeFirstNonFinite() {
      const first = firstNonFinite;
      exchanges = 0;
      firstNonFinite = ranks.names.map(() => NEVER);
      return first;
    },
    async gatherState(state) {
      const own = states.get(state);
      if (own !== undefined && own.kept.size > 0) await gatherKept(own);
    },
    dispose: () => engine.dispose(),
  };
}
