/**
 * The pickles inside of PyTorch files, read without executing anything.
 *
 * A pickle is a program for a stack machine whose dangerous instructions import and call things. Here the instructions
 * are a short list, the importable names a shorter one (tensors.ts), and "calling" one builds plain data. Whatever
 * else occurs is an error that names it. Source: Python's pickletools, protocols 0 to 5.
 */
import { CheckpointError } from "../../errors.js";
import { quoted } from "../json-text.js";
import { createPickleReader, type PickleReader } from "./pickle-reader.js";

/** What an allowed name stands for: it makes data from the arguments of its call. */
export type PickleGlobal = (args: readonly PickleValue[], what: string) => PickleValue;

/** A name that was imported and not called yet. */
export interface PickleReference {
  readonly kind: "global";
  readonly name: string;
  readonly make: PickleGlobal;
}

/** Data of a kind that holds no tensors (a namespace, a generator's state): known to be there, not looked into. */
interface PickleOpaque {
  readonly kind: "opaque";
  readonly name: string;
}

/** Results of persistent ids and tensors are objects of the caller; they carry a `kind`. */
export interface PickleObject {
  readonly kind: string;
}

export type PickleDict = Map<PickleValue, PickleValue>;
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | PickleDict
  | PickleObject;

interface PickleOptions {
  /** For messages. */
  readonly name: string;
  /** The importable names, as `module.name`. */
  readonly globals: ReadonlyMap<string, PickleGlobal>;
  /** What a persistent id stands for (a storage). */
  readonly persistent: (id: PickleValue) => PickleValue;
}

/** One state dict of 100,000 tensors has a few million instructions, and six objects (tuples, lists, dicts) per tensor. */
const MAX_INSTRUCTIONS = 20_000_000;
const MAX_OBJECTS = 2_000_000;
const MARK = Symbol("mark");
type StackItem = PickleValue | typeof MARK;

interface Machine extends PickleOptions {
  readonly reader: PickleReader;
  readonly stack: StackItem[];
  readonly memo: Map<number, PickleValue>;
  /** Objects made so far: an instruction of one byte makes one of some hundred bytes. */
  objects: number;
  /** Items that calls were given in lists so far. */
  given: number;
}

function fail({ name, reader }: Machine, problem: string, hint?: string): CheckpointError {
  return new CheckpointError(`${name}: pickle at byte ${reader.position}: ${problem}`, {
    hint: hint ?? "The file is damaged or wasn't written by torch.save.",
  });
}

/** Pushes an object. */
function push(machine: Machine, value: PickleValue): void {
  machine.objects += 1;
  if (machine.objects > MAX_OBJECTS) throw fail(machine, `it has more than ${MAX_OBJECTS} objects`);
  machine.stack.push(value);
}

/** Parts that are named once and used often may be no more than the bytes that name them. */
export function tooMuchShared(name: string, bytes: number): CheckpointError {
  return new CheckpointError(
    `${name}: its objects share parts that unfold to more than its ${bytes} bytes can describe`,
    {
      hint: "No checkpoint is like that. If you trust the file, save its tensors with safetensors in Python and load that.",
    },
  );
}

function pop(machine: Machine): PickleValue {
  const item = machine.stack.pop();
  if (item === undefined || item === MARK) throw fail(machine, "the stack is empty");
  return item as PickleValue;
}

function top(machine: Machine): PickleValue {
  const item = machine.stack.at(-1);
  if (item === undefined || item === MARK) throw fail(machine, "the stack is empty");
  return item as PickleValue;
}

/** The items above the last mark, without it. */
function popMark(machine: Machine): PickleValue[] {
  const at = machine.stack.lastIndexOf(MARK);
  if (at < 0) throw fail(machine, "there is no mark");
  return machine.stack.splice(at).slice(1) as PickleValue[];
}

function popTuple(machine: Machine, length: number): void {
  const items = Array.from({ length }, () => pop(machine)).reverse();
  push(machine, items);
}

function remember(machine: Machine, index: number): void {
  machine.memo.set(index, top(machine));
}

function recall(machine: Machine, index: number): void {
  const value = machine.memo.get(index);
  if (value === undefined) throw fail(machine, `nothing is remembered as ${index}`);
  machine.stack.push(value);
}

function isKind<T extends PickleObject>(value: PickleValue, kind: T["kind"]): value is T {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === kind;
}

function importName(machine: Machine, module: PickleValue, name: PickleValue): void {
  const full =
    typeof module === "string" && typeof name === "string" ? `${module}.${name}` : "something without a name";
  const make = machine.globals.get(full);
  if (make === undefined) {
    throw fail(
      machine,
      `it wants to import ${quoted(full)}, which isn't one of the names that plain tensors need`,
      "Nothing was executed. If you trust the file, save its tensors with safetensors in Python and load that.",
    );
  }
  const reference: PickleReference = { kind: "global", name: full, make };
  push(machine, reference);
}

function call(machine: Machine): void {
  const args = pop(machine);
  const callee = pop(machine);
  if (!isKind<PickleReference>(callee, "global") || !Array.isArray(args)) {
    throw fail(machine, "it calls something that isn't one of the known names");
  }
  // One list can be given to many calls, each of which walks through it.
  for (const arg of args) if (Array.isArray(arg)) machine.given += arg.length;
  if (machine.given > machine.reader.position) throw tooMuchShared(machine.name, machine.reader.position);
  push(machine, callee.make(args, machine.name));
}

function setItems(machine: Machine, items: readonly PickleValue[]): void {
  const target = top(machine);
  if (items.length % 2 !== 0) throw fail(machine, "a dict has a key without a value");
  // Items of an opaque object (a subclass of dict) are as opaque as itself.
  if (isKind<PickleOpaque>(target, "opaque")) return;
  if (!(target instanceof Map)) throw fail(machine, "it sets items of something that isn't a dict");
  for (let i = 0; i < items.length; i += 2) target.set(items[i] as PickleValue, items[i + 1] as PickleValue);
}

function append(machine: Machine, items: readonly PickleValue[]): void {
  const target = top(machine);
  if (isKind<PickleOpaque>(target, "opaque")) return;
  if (!Array.isArray(target)) throw fail(machine, "it appends to something that isn't a list");
  for (const item of items) target.push(item);
}

/** Attributes of an object. Dicts of modules carry version numbers in theirs; they change no tensor. */
function build(machine: Machine): void {
  pop(machine);
  const target = top(machine);
  if (!(target instanceof Map) && !isKind(target, "opaque") && !isKind(target, "tensor")) {
    throw fail(machine, "it sets attributes of something that has none");
  }
}

function setItem(machine: Machine): void {
  const value = pop(machine);
  setItems(machine, [pop(machine), value]);
}

function stackGlobal(machine: Machine): void {
  const name = pop(machine);
  importName(machine, pop(machine), name);
}

/** One row per instruction. The names are those of pickletools. */
const instructions: ReadonlyMap<number, (machine: Machine) => unknown> = new Map<number, (m: Machine) => unknown>([
  [0x28, (m) => m.stack.push(MARK)], // MARK
  [0x29, (m) => push(m, [])], // EMPTY_TUPLE
  [0x30, (m) => pop(m)], // POP
  [0x31, (m) => popMark(m)], // POP_MARK
  [0x32, (m) => m.stack.push(top(m))], // DUP
  [0x42, (m) => push(m, m.reader.bytes(m.reader.uint32()))], // BINBYTES
  [0x43, (m) => push(m, m.reader.bytes(m.reader.uint8()))], // SHORT_BINBYTES
  [0x47, (m) => m.stack.push(m.reader.float64())], // BINFLOAT
  [0x49, (m) => m.stack.push(m.reader.decimalInteger())], // INT
  [0x4a, (m) => m.stack.push(m.reader.int32())], // BININT
  [0x4b, (m) => m.stack.push(m.reader.uint8())], // BININT1
  [0x4c, (m) => m.stack.push(m.reader.decimalInteger())], // LONG
  [0x4d, (m) => m.stack.push(m.reader.uint16())], // BININT2
  [0x4e, (m) => m.stack.push(null)], // NONE
  [0x51, (m) => push(m, m.persistent(pop(m)))], // BINPERSID
  [0x52, call], // REDUCE
  [0x54, (m) => m.stack.push(m.reader.latin1(m.reader.uint32()))], // BINSTRING
  [0x55, (m) => m.stack.push(m.reader.latin1(m.reader.uint8()))], // SHORT_BINSTRING
  [0x58, (m) => m.stack.push(m.reader.utf8(m.reader.uint32()))], // BINUNICODE
  [0x5d, (m) => push(m, [])], // EMPTY_LIST
  [0x61, (m) => append(m, [pop(m)])], // APPEND
  [0x62, build], // BUILD
  [0x63, (m) => importName(m, m.reader.line(), m.reader.line())], // GLOBAL
  [0x65, (m) => append(m, popMark(m))], // APPENDS
  [0x68, (m) => recall(m, m.reader.uint8())], // BINGET
  [0x6a, (m) => recall(m, m.reader.uint32())], // LONG_BINGET
  [0x6c, (m) => push(m, popMark(m))], // LIST
  [0x71, (m) => remember(m, m.reader.uint8())], // BINPUT
  [0x72, (m) => remember(m, m.reader.uint32())], // LONG_BINPUT
  [0x73, setItem], // SETITEM
  [0x74, (m) => push(m, popMark(m))], // TUPLE
  [0x75, (m) => setItems(m, popMark(m))], // SETITEMS
  [0x7d, (m) => push(m, new Map())], // EMPTY_DICT
  [0x80, (m) => m.reader.protocol()], // PROTO
  [0x81, call], // NEWOBJ
  [0x85, (m) => popTuple(m, 1)], // TUPLE1
  [0x86, (m) => popTuple(m, 2)], // TUPLE2
  [0x87, (m) => popTuple(m, 3)], // TUPLE3
  [0x88, (m) => m.stack.push(true)], // NEWTRUE
  [0x89, (m) => m.stack.push(false)], // NEWFALSE
  [0x8a, (m) => m.stack.push(m.reader.integer(m.reader.uint8()))], // LONG1
  [0x8c, (m) => m.stack.push(m.reader.utf8(m.reader.uint8()))], // SHORT_BINUNICODE
  [0x8d, (m) => m.stack.push(m.reader.utf8(m.reader.length64()))], // BINUNICODE8
  [0x8e, (m) => push(m, m.reader.bytes(m.reader.length64()))], // BINBYTES8
  [0x93, stackGlobal], // STACK_GLOBAL
  [0x94, (m) => remember(m, m.memo.size)], // MEMOIZE
  [0x95, (m) => m.reader.length64()], // FRAME
]);

const STOP = 0x2e;

/**
 * Reads the pickle that starts at `offset`.
 *
 * @returns the value, and the position behind the pickle
 * @throws CheckpointError when it is damaged or holds anything but plain data and the allowed names
 */
export function readPickle(
  bytes: Uint8Array,
  offset: number,
  options: PickleOptions,
): { readonly value: PickleValue; readonly end: number } {
  const reader = createPickleReader(bytes, offset, options.name);
  const machine: Machine = { ...options, reader, stack: [], memo: new Map(), objects: 0, given: 0 };
  for (let count = 0; count < MAX_INSTRUCTIONS; count++) {
    const code = reader.uint8();
    if (code === STOP) {
      const value = pop(machine);
      if (machine.stack.length > 0) throw fail(machine, "it ends with values left over");
      return { value, end: reader.position };
    }
    const instruction = instructions.get(code);
    if (instruction === undefined) throw fail(machine, `instruction 0x${code.toString(16)} isn't allowed`);
    instruction(machine);
  }
  throw fail(machine, `it has more than ${MAX_INSTRUCTIONS} instructions`);
}
