/**
 * Which rank makes which updates (ZeRO stage 1, arXiv 1910.02054): the sum of a gradient over ranks is needed by what updates one weight
 * and its moments alone, so one rank does that, and hands the new weight to the others.
 *
 * It is found in the graph, whatever the method of optimization: all that follows from one such sum and from scalars belongs together.
 * A scalar that others need, as a gradient's part of the norm over all, goes from its rank to all. Every number is computed as it
 * would be on every rank, so sharing changes no bits.
 */
import { analyze, createProgram, mapGraph, type Program, sizeOf, sumOverRanks, type Value } from "@dcae/core/graph";

export interface SharedUpdates {
  /** The program, in which scalars that go from one rank to all are sums over ranks, too. */
  readonly program: Program;
  /** Sums over ranks that one rank alone needs, and which. */
  readonly reduced: ReadonlyMap<Value, number>;
  /** Sums over ranks with one rank's term alone, and whose. */
  readonly given: ReadonlyMap<Value, number>;
  /** Updates that one rank makes: which, and whether the others need them. */
  readonly updates: ReadonlyMap<string, { readonly owner: number; readonly isHanded: boolean }>;
}

const isLeaf = ({ op }: Value) => op === "input" || op === "parameter" || op === "constant";
const sizeOfValue = ({ shape }: Value) => sizeOf(shape as readonly number[]);
const isScalar = (value: Value) => sizeOfValue(value) === 1;

/** What belongs to which sum, where that is one. */
interface Homes {
  readonly of: ReadonlyMap<Value, Value>;
  /** Scalars that are computed where they belong, and needed elsewhere. */
  readonly given: ReadonlyMap<Value, Value>;
}

/** @returns undefined where nothing can be shared */
export function shareUpdates(program: Program, ranks: number): SharedUpdates | undefined {
  const { order } = analyze(program);
  if (order.some(({ shape }) => !shape.every((length) => typeof length === "number"))) return undefined;
  const sums = sharableSums(program);
  let homes = findHomes(program, sums);
  while (Array.isArray(homes)) {
    for (const sum of homes) sums.delete(sum);
    homes = findHomes(program, sums);
  }
  if (sums.size === 0) return undefined;
  const { of, given } = homes as Homes;
  const owners = ownersOf(sums, ranks);
  const updates = new Map(
    [...program.updates].flatMap(([name, value]) => {
      const home = of.get(value);
      if (home === undefined) return [];
      return [[name, { owner: owners.get(home) as number, isHanded: isNeeded(program, name, home, of) }] as const];
    }),
  );

  const reduced = new Map<Value, number>();
  const givenSums = new Map<Value, number>();
  const results = [...program.outputs, ...program.updates];
  const mapped = mapGraph(
    results.map(([, value]) => value),
    (value, _inputs, keep) => {
      const made = keep();
      if (sums.has(value)) reduced.set(made, owners.get(value) as number);
      const home = given.get(value);
      if (home === undefined) return made;
      const sum = sumOverRanks(made, ranks);
      givenSums.set(sum, owners.get(home) as number);
      return sum;
    },
  );
  const named = results.map(([name], i) => [name, mapped[i] as Value] as const);
  const shared = createProgram(
    program.name,
    Object.fromEntries(named.slice(0, program.outputs.size)),
    Object.fromEntries(named.slice(program.outputs.size)),
  );
  return { program: shared, reduced, given: givenSums, updates };
}

/** Sums over ranks, of more than a scalar, that no other one follows from. */
function sharableSums(program: Program): Set<Value> {
  const { order, users } = analyze(program);
  const isSum = ({ op }: Value) => op === "sumOverRanks";
  const leads = new Set<Value>();
  for (const value of [...order].reverse()) {
    if (users(value).some((user) => isSum(user) || leads.has(user))) leads.add(value);
  }
  return new Set(order.filter((value) => isSum(value) && !isScalar(value) && !leads.has(value)));
}

/** What each rank has of its own: that which follows from its part of the batch, other than by sums over ranks. */
function localValues(order: readonly Value[]): ReadonlySet<Value> {
  const local = new Set<Value>();
  for (const value of order) {
    const isLocal = value.op === "input" || value.inputs.some((operand) => local.has(operand));
    if (isLocal && value.op !== "sumOverRanks") local.add(value);
  }
  return local;
}

/**
 * @returns the sums that belong to no rank alone, where there are some: more than scalars follows from several of them, or what follows
 * is of each rank's own, as gradients behind the statistics of a batch norm
 */
function findHomes(program: Program, sums: ReadonlySet<Value>): Homes | Value[] {
  const { order, users } = analyze(program);
  const local = localValues(order);
  const of = new Map<Value, Value>();
  const given = new Map<Value, Value>();
  const homesOf = (values: readonly Value[]) => [
    ...new Set(
      values.flatMap((value) => {
        const home = given.has(value) ? undefined : of.get(value);
        return home === undefined ? [] : [home];
      }),
    ),
  ];
  for (const value of order) {
    if (sums.has(value)) of.set(value, value);
    if (isLeaf(value) || isScalar(value) || value.op === "sumOverRanks") continue;
    const homes = homesOf(value.inputs.filter((operand) => !isScalar(operand)));
    if (homes.length > 1 || (homes.length > 0 && local.has(value))) return homes;
    if (homes[0] !== undefined) of.set(value, homes[0]);
  }
  /** Where a scalar is needed; null: everywhere. */
  const needed = new Map<Value, Value | null>();
  const results = new Set<Value>([...program.outputs.values(), ...program.updates.values()]);
  for (const value of [...order].reverse()) {
    if (!isScalar(value)) continue;
    const places = users(value).map((user) => {
      if (user.op === "sumOverRanks") return null;
      return isScalar(user) ? (needed.get(user) ?? null) : (of.get(user) ?? null);
    });
    const [place = null] = places;
    needed.set(value, results.has(value) || places.some((other) => other !== place) ? null : place);
  }
  for (const value of order) {
    if (isLeaf(value) || !isScalar(value) || value.op === "sumOverRanks") continue;
    const homes = homesOf(value.inputs);
    if (homes.length > 1 || (homes.length > 0 && local.has(value))) return homes;
    const [home] = homes;
    if (home === undefined) continue;
    if (needed.get(value) === home) of.set(value, home);
    else given.set(value, home);
  }
  const shown = homesOf([...program.outputs.values()]);
  return shown.length > 0 ? shown : { of, given };
}

/** Whether others than those who update a parameter need its new value: all weights, and what more of the program reads. */
function isNeeded(program: Program, name: string, home: Value, of: ReadonlyMap<Value, Value>): boolean {
  if (program.parameters.get(name)?.trainable === true) return true;
  const { order, users } = analyze(program);
  const readers = order.filter((value) => value.op === "parameter" && value.attributes.name === name).flatMap(users);
  return readers.some((reader) => of.get(reader) !== home);
}

/** The largest first, each to the rank that has least so far. */
function ownersOf(sums: ReadonlySet<Value>, ranks: number): Map<Value, number> {
  const loads = Array.from({ length: ranks }, () => 0);
  const owners = new Map<Value, number>();
  for (const sum of [...sums].sort((a, b) => sizeOfValue(b) - sizeOfValue(a))) {
    const owner = loads.indexOf(Math.min(...loads));
    owners.set(sum, owner);
    loads[owner] = (loads[owner] as number) + sizeOfValue(sum);
  }
  return owners;
}
