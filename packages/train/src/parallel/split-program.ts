/**
 * A program with sums over ranks, as the parts that are run before, between and behind them.
 *
 * All sums that can be taken at once are taken at once, between two parts. What a part computes and a later one needs stays with the
 * engine, in its state, and so do sums that one rank alone needs; only the other sums cross to the host. A parameter is replaced when no later part reads it any more. Behind
 * the last sums each rank computes what it owns of the updates (share-updates.ts).
 */
import {
  analyze,
  createProgram,
  input,
  mapGraph,
  opTraits,
  type Program,
  parameter,
  type Value,
  ZEROS,
} from "@dcae/core/graph";
import { shareUpdates } from "./share-updates.js";

/** A sum over ranks behind a part that all of them need. */
export interface PartSum {
  /** The part's output that is this rank's term. */
  readonly output: string;
  /** The input that takes the sum in later parts. */
  readonly target: string;
  readonly value: Value;
  /** The one that has a term, where it is one alone. */
  readonly owner?: number;
}

/** What of the state belongs to one rank. */
export interface Owned {
  /** In the state. */
  readonly name: string;
  readonly owner: number;
  readonly value: Value;
}

export interface ProgramPart {
  /** Undefined where this rank has nothing to compute. */
  readonly program: Program | undefined;
  readonly sums: readonly PartSum[];
  /** Sums that only their owner needs: the part leaves this rank's term in the state, the owner's is replaced by the sum. */
  readonly reduced: readonly Owned[];
}

export interface SplitProgram {
  readonly parts: readonly ProgramPart[];
  /** What the state has to hold beside the program's own parameters and the terms of sums, by name. */
  readonly carried: ReadonlyMap<string, Value>;
  /** The program's outputs, in its order. */
  readonly names: readonly string[];
  /** Updates that all ranks need from their owner. */
  readonly handed: readonly Owned[];
  /** Updates that stay with their owner: other ranks' states hold older values. */
  readonly kept: readonly Owned[];
}

/** Names in the state of what goes from part to part. */
export const CARRIED = "carried.";

const isLeaf = ({ op }: Value) => op === "input" || op === "parameter" || op === "constant";
/** Ops whose results are quickly made again or later: what leads to them from weights alone needn't be kept. */
const isLight = ({ op }: Value) => {
  const { elementwise = false, view = false, half } = opTraits[op];
  return elementwise || view || half === "layout";
};

/**
 * @param ranks which one this is; with one rank alone there is nothing to share
 * @param own tells names in the state apart from those of other programs
 * @returns undefined for a program without sums over ranks
 */
export function splitProgram(
  original: Program,
  { rank, size }: { readonly rank: number; readonly size: number },
  own = original.name,
): SplitProgram | undefined {
  if (!analyze(original).order.some(({ op }) => op === "sumOverRanks")) return undefined;
  const shared = size === 1 ? undefined : shareUpdates(original, size);
  const program = shared?.program ?? original;
  const {
    reduced = new Map<Value, number>(),
    given = new Map<Value, number>(),
    updates: owned = new Map(),
  } = shared ?? {};
  const { order: all, users } = analyze(program);
  // Where things are, is the same on all ranks: they exchange between the same parts.
  const place = placesOf(program);
  const at = (value: Value) => place.get(value) as number;
  const updateParts = new Map(
    [...program.updates].map(([name, value]) => {
      const readers = all.filter(
        ({ op, attributes }) => op === "parameter" && (attributes as { name: string }).name === name,
      );
      const reading = readers.flatMap(users).map(at);
      return [name, Math.max(isLeaf(value) ? 0 : at(value), ...reading)] as const;
    }),
  );
  const count = Math.max(...all.filter((value) => !isLeaf(value)).map(at), ...updateParts.values()) + 1;

  const updates = [...program.updates].filter(([name]) => (owned.get(name)?.owner ?? rank) === rank);
  const isHanded = (name: string) => owned.get(name)?.isHanded === true;
  const sums = all.filter(({ op }) => op === "sumOverRanks");
  const hasTerm = (sum: Value) => (given.get(sum) ?? rank) === rank;
  const results = [...program.outputs.values(), ...updates.map(([, value]) => value)];
  const order = neededOf(program, results, hasTerm, sums);
  const sumNames = new Map(sums.map((value, i) => [value, `sum.${i}`]));
  /** The last part in which a value is used; a sum takes its term from the part before it. */
  const until = new Map<Value, number>();
  const use = (value: Value, part: number) => until.set(value, Math.max(until.get(value) ?? 0, part));
  for (const value of order) {
    if (value.op !== "sumOverRanks") for (const operand of value.inputs) use(operand, at(value));
  }
  for (const sum of sums) if (hasTerm(sum)) use(sum.inputs[0] as Value, at(sum) - 1);
  for (const [name, value] of updates) use(value, updateParts.get(name) as number);

  const crossing = order.filter(
    (value) => !isLeaf(value) && value.op !== "sumOverRanks" && (until.get(value) ?? 0) > at(value),
  );
  // Terms of sums have the same names on all ranks.
  const carriedNames = new Map([
    ...crossing.map((value, i) => [value, `${CARRIED}${own}.${i}`] as const),
    ...[...reduced.keys()].map((value, i) => [value, `${CARRIED}${own}.term.${i}`] as const),
  ]);

  const parts = Array.from({ length: count }, (_, part): ProgramPart => {
    const summed = sums.filter((value) => at(value) === part + 1);
    const kept = crossing.filter((value) => at(value) === part);
    const forAll = summed.filter((value) => !reduced.has(value));
    const forOwners = summed.filter((value) => reduced.has(value));
    const outputs = [
      ...[...program.outputs].filter(([, value]) => (isLeaf(value) ? count - 1 : at(value)) === part),
      ...forAll.filter(hasTerm).map((value) => [`local.${sumNames.get(value)}`, value.inputs[0] as Value] as const),
    ];
    const results = [
      ...outputs,
      ...updates.filter(([name]) => updateParts.get(name) === part),
      ...kept.map((value) => [carriedNames.get(value) as string, value] as const),
      ...forOwners.map((value) => [carriedNames.get(value) as string, value.inputs[0] as Value] as const),
    ];
    const mapped = mapGraph(
      results.map(([, value]) => value),
      (_value, _inputs, keep) => keep(),
      (value) => {
        const sum = sumNames.get(value);
        if (sum !== undefined && !reduced.has(value)) return input(sum, value.shape, value.dtype);
        const carried = carriedNames.get(value);
        if (carried === undefined || (sum === undefined && at(value) >= part)) return undefined;
        return parameter({
          name: carried,
          shape: value.shape as number[],
          dtype: value.dtype,
          init: ZEROS,
          trainable: false,
        });
      },
    );
    const named = results.map(([name], i) => [name, mapped[i] as Value] as const);
    return {
      program:
        results.length === 0
          ? undefined
          : createProgram(
              `${program.name} (part ${part + 1} of ${count})`,
              Object.fromEntries(named.slice(0, outputs.length)),
              Object.fromEntries(named.slice(outputs.length)),
            ),
      sums: forAll.map((value) => {
        const target = sumNames.get(value) as string;
        const owner = given.get(value);
        return { output: `local.${target}`, target, value, ...(owner === undefined ? {} : { owner }) };
      }),
      reduced: forOwners.map((value) => {
        return { name: carriedNames.get(value) as string, owner: reduced.get(value) as number, value };
      }),
    };
  });
  const carried = new Map(crossing.map((value) => [carriedNames.get(value) as string, value]));
  const ownedUpdates = [...owned].map(
    ([name, { owner }]): Owned => ({
      name,
      owner,
      value: program.updates.get(name) as Value,
    }),
  );
  return {
    parts,
    carried,
    names: [...program.outputs.keys()],
    handed: ownedUpdates.filter(({ name }) => isHanded(name)),
    kept: ownedUpdates.filter(({ name }) => !isHanded(name)),
  };
}

/** What of a program this rank computes, in order: for its results, and the terms of sums that others need. */
function neededOf(
  program: Program,
  results: readonly Value[],
  hasTerm: (sum: Value) => boolean,
  sums: readonly Value[],
): Value[] {
  const needed = new Set<Value>();
  const open = [...results, ...sums.filter(hasTerm).map(({ inputs: [term] }) => term as Value)];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (needed.has(value)) continue;
    needed.add(value);
    if (value.op !== "sumOverRanks" || hasTerm(value)) open.push(...value.inputs);
  }
  return analyze(program).order.filter((value) => needed.has(value));
}

/**
 * The part that each value is computed in, for a sum the first one that can have it: as early as the sums that it needs allow, but what
 * follows from weights and sums alone by light ops as late as possible.
 */
function placesOf(program: Program): Map<Value, number> {
  const { order, users } = analyze(program);
  const place = new Map<Value, number>();
  const light = new Set<Value>();
  for (const value of order) {
    const before = Math.max(0, ...value.inputs.map((operand) => place.get(operand) as number));
    place.set(value, value.op === "sumOverRanks" ? before + 1 : before);
    const isFree = (operand: Value) => isLeaf(operand) || operand.op === "sumOverRanks" || light.has(operand);
    if (!isLeaf(value) && isLight(value) && value.inputs.every(isFree)) light.add(value);
  }
  const results = new Set<Value>([...program.outputs.values(), ...program.updates.values()]);
  for (const value of [...order].reverse()) {
    if (!light.has(value) || results.has(value)) continue;
    const needed = users(value).map((user) => (place.get(user) as number) - (user.op === "sumOverRanks" ? 1 : 0));
    place.set(value, Math.min(...needed));
  }
  return place;
}
