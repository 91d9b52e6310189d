/**
 * A program with sums over ranks, as the parts that are run before, between and behind them.
 *
 * All sums that can be taken at once are taken at once, between two parts. What a part computes and a later one needs stays with the
 * engine, in its state; only what is summed crosses to the host. A parameter is replaced when no later part reads it any more.
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

export interface ProgramPart {
  readonly program: Program;
  /** Outputs that aren't the program's own: what is summed behind this part, and the input of later parts that takes the sum. */
  readonly sums: readonly { readonly output: string; readonly input: string; readonly value: Value }[];
}

export interface SplitProgram {
  readonly parts: readonly ProgramPart[];
  /** What the state has to hold beside the program's own parameters, by name. */
  readonly carried: ReadonlyMap<string, Value>;
  /** The program's outputs, in its order. */
  readonly names: readonly string[];
}

/** Names in the state of what goes from part to part. */
export const CARRIED = "carried.";

const isLeaf = ({ op }: Value) => op === "input" || op === "parameter" || op === "constant";
/** Ops whose results are quickly made again or later: what leads to them from weights alone needn't be kept. */
const isLight = ({ op }: Value) => {
  const { elementwise = false, view = false, half } = opTraits[op];
  return elementwise || view || half === "layout";
};

/** @returns undefined for a program without sums over ranks */
export function splitProgram(program: Program): SplitProgram | undefined {
  const { order, users } = analyze(program);
  if (!order.some(({ op }) => op === "sumOverRanks")) return undefined;
  const place = placesOf(program);
  const at = (value: Value) => place.get(value) as number;
  const updateParts = new Map(
    [...program.updates].map(([name, value]) => {
      const readers = order.filter(
        ({ op, attributes }) => op === "parameter" && (attributes as { name: string }).name === name,
      );
      const reading = readers.flatMap(users).map(at);
      return [name, Math.max(isLeaf(value) ? 0 : at(value), ...reading)] as const;
    }),
  );
  /** The last part in which a value is used. */
  const until = new Map<Value, number>();
  const use = (value: Value, part: number) => until.set(value, Math.max(until.get(value) ?? 0, part));
  for (const value of order) for (const operand of value.inputs) use(operand, at(value));
  for (const [name, value] of program.updates) use(value, updateParts.get(name) as number);

  const sums = order.filter(({ op }) => op === "sumOverRanks");
  const sumNames = new Map(sums.map((value, i) => [value, `sum.${i}`]));
  const crossing = order.filter(
    (value) => !isLeaf(value) && value.op !== "sumOverRanks" && (until.get(value) ?? 0) > at(value),
  );
  const carriedNames = new Map(crossing.map((value, i) => [value, `${CARRIED}${program.name}.${i}`]));

  const count = Math.max(...order.filter((value) => !isLeaf(value)).map(at), ...updateParts.values()) + 1;
  const parts = Array.from({ length: count }, (_, part): ProgramPart => {
    const summed = sums.filter((value) => at(value) === part + 1);
    const kept = crossing.filter((value) => at(value) === part);
    const own = {
      outputs: [...program.outputs].filter(([, value]) => (isLeaf(value) ? count - 1 : at(value)) === part),
      updates: [...program.updates].filter(([name]) => updateParts.get(name) === part),
    };
    const results = [
      ...own.outputs,
      ...summed.map((value) => [`local.${sumNames.get(value)}`, value.inputs[0] as Value] as const),
      ...own.updates,
      ...kept.map((value) => [carriedNames.get(value) as string, value] as const),
    ];
    const mapped = mapGraph(
      results.map(([, value]) => value),
      (_value, _inputs, keep) => keep(),
      (value) => {
        const sum = sumNames.get(value);
        if (sum !== undefined) return input(sum, value.shape, value.dtype);
        const carried = carriedNames.get(value);
        if (carried === undefined || at(value) >= part) return undefined;
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
    const outputs = own.outputs.length + summed.length;
    return {
      program: createProgram(
        `${program.name} (part ${part + 1} of ${count})`,
        Object.fromEntries(named.slice(0, outputs)),
        Object.fromEntries(named.slice(outputs)),
      ),
      sums: summed.map((value) => ({
        output: `local.${sumNames.get(value)}`,
        input: sumNames.get(value) as string,
        value,
      })),
    };
  });
  const carried = new Map([...carriedNames].map(([value, name]) => [name, value]));
  return { parts, carried, names: [...program.outputs.keys()] };
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
