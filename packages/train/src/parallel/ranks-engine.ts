/**
 * An engine that runs one program together with other ranks: where it sums over ranks, the program is split (split-program.ts), and the
 * ranks exchange between its parts.
 *
 * The state is that of the engine below, with what goes from part to part beside it; who reads the state sees only its own. What one
 * rank alone updates and needs (moments, averages) is in its state alone, until `gatherState`. Gradients, and weights that one rank
 * updates for all, lie in memory that the ranks exchange as it is: a block for each rank, with all that belongs to it.
 */
import type { Weights } from "@dcae/core/checkpoint";
import { EngineError, type Program, sizeOf, Tensor, type Value } from "@dcae/core/graph";
import { type Communicator, shareInRounds } from "@dcae/core/internal";
import type { Engine, EngineState, LoadedProgram, NamedTensors } from "@dcae/core/runtime";
import { CARRIED, type Owned, type ProgramPart, type SplitProgram, splitProgram } from "./split-program.js";

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

/** Tensors that belong to ranks, in blocks of one length, a block for each rank. */
interface Blocks {
  readonly memory: Float32Array;
  /** Where each begins, in elements. */
  readonly offsets: ReadonlyMap<string, number>;
}

/** Elements between starts of tensors: those of a line of the cache. */
const ALIGNMENT = 16;

/** The same for the same tensors, in whatever order. */
function layOut(
  items: readonly Owned[],
  size: number,
): { readonly offsets: Map<string, number>; readonly total: number } {
  const filled = Array.from({ length: size }, () => 0);
  const sorted = [...items].sort((a, b) => (a.name < b.name ? -1 : 1));
  const within = sorted.map(({ owner, value }) => {
    const offset = filled[owner] as number;
    filled[owner] = offset + ALIGNMENT * Math.ceil(sizeOfValue(value) / ALIGNMENT);
    return offset;
  });
  const length = Math.max(0, ...filled);
  const offsets = sorted.map(({ name, owner }, i) => [name, owner * length + (within[i] as number)] as const);
  return { offsets: new Map(offsets), total: length * size };
}

const sizeOfValue = ({ shape }: Value) => sizeOf(shape as readonly number[]);

/** What a state holds of this process's own, and of other ranks'. */
interface RanksState {
  readonly inner: EngineState;
  /** Updates that other ranks' states don't have, by name. */
  readonly kept: Map<string, Owned>;
  /** Where weights that one rank updates for all lie. */
  readonly placed: Map<string, Blocks>;
  /** Programs that were loaded against it. */
  programs: number;
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

  /** Lays tensors into memory that this rank exchanges. */
  async function placeBlocks({ inner }: RanksState, items: readonly Owned[]): Promise<Blocks> {
    const { offsets, total } = layOut(items, size);
    const places = items.map(({ name, value }) => {
      return [name, { offset: offsets.get(name) as number, shape: value.shape as readonly number[] }] as const;
    });
    if (inner.place === undefined)
      throw new EngineError(`${engine.name}: ranks can't exchange what lies in its states`);
    return { memory: await inner.place(new Map(places), total), offsets };
  }

  /** Weights lie where the first program that updates them has put them. */
  async function placeHanded(state: RanksState, handed: readonly Owned[]): Promise<Blocks> {
    const known = handed.map(({ name }) => state.placed.get(name));
    if (known.every((blocks) => blocks === undefined)) {
      const blocks = await placeBlocks(state, handed);
      for (const { name } of handed) state.placed.set(name, blocks);
      return blocks;
    }
    const { offsets, total } = layOut(handed, size);
    const [first] = known;
    const isSame =
      first?.memory.length === total &&
      known.every((blocks, i) => {
        const { name } = handed[i] as Owned;
        return blocks === first && first.offsets.get(name) === offsets.get(name);
      });
    return isSame ? first : { memory: new Float32Array(total), offsets };
  }

  /** Each rank's new values into all ranks' states. */
  async function hand(handed: readonly Owned[], { memory, offsets }: Blocks, state: RanksState): Promise<void> {
    const elsewhere = handed.filter(({ name }) => state.placed.get(name)?.memory !== memory);
    const partOf = ({ name, value }: Owned) => {
      const start = offsets.get(name) as number;
      return memory.subarray(start, start + sizeOfValue(value));
    };
    const isOwn = ({ owner }: Owned) => owner === rank;
    for (const update of elsewhere.filter(isOwn)) partOf(update).set((await state.inner.read(update.name)).toFloat32());
    await ranks.shareBlocks(memory);
    for (const update of elsewhere.filter((other) => !isOwn(other))) {
      const { name, value } = update;
      await state.inner.write({ [name]: Tensor.float32(partOf(update), value.shape as number[]) });
    }
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
    const terms: (Blocks | undefined)[] = [];
    for (const { reduced } of parts) {
      terms.push(reduced.length === 0 ? undefined : await placeBlocks(state, reduced));
    }
    const handedBlocks = handed.length === 0 ? undefined : await placeHanded(state, handed);
    const loaded: (LoadedProgram | undefined)[] = [];
    for (const part of parts) {
      loaded.push(part.program && (await engine.load(part.program, weights, { state: inner })));
    }
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
      const isElsewhere = ({ name, owner }: Owned) => program.parameters.has(name) && owners.get(name) !== owner;
      if ([...state.kept.values()].some(isElsewhere)) await gatherKept(state);
      const known: Record<string, Tensor> = { ...inputs };
      const results: Record<string, Tensor> = {};
      for (const [i, { sums, reduced }] of parts.entries()) {
        Object.assign(results, await runPart(i, known));
        if (sums.length === 0 && reduced.length === 0) continue;
        Object.assign(known, await sum(sums, results));
        const blocks = terms[i];
        if (blocks !== undefined) for (const who of await ranks.sumBlocks(blocks.memory)) noteNonFinite(who);
        for (const { output } of sums) delete results[output];
        exchanges++;
      }
      if (handedBlocks !== undefined) await hand(handed, handedBlocks, state);
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
      states.set(outer, { inner, kept: new Map(), placed: new Map(), programs: 0 });
      return outer;
    },
    async load(program, weights, options = {}) {
      const { state } = options;
      const own = state === undefined ? undefined : states.get(state);
      const split = splitProgram(program, ranks, `${own?.programs ?? 0}`);
      if (split === undefined) return engine.load(program, weights, { state: own?.inner ?? state });
      if (own === undefined) throw new EngineError(`"${program.name}": a sum over ranks needs a state`);
      own.programs++;
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
