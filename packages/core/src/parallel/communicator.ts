/**
 * What processes that work on one thing say to each other: sums, gathered values, broadcasts.
 *
 * All ranks make the same calls in the same order. A transport (MPI, or a test's own) only has to bring bytes from rank to rank; what
 * is made of them is here. Sums are added up in the order of the ranks, in float64, each element by one rank that hands its result to
 * the others: so they have the same bits on every rank and in every run, whatever algorithm a library would take for its own.
 */
import { DcaeError, type DcaeErrorOptions, errorMessage } from "../errors.js";

/** Brings bytes from rank to rank. One call at a time; all ranks make the same ones. */
export interface Transport {
  readonly rank: number;
  readonly size: number;
  /**
   * Blocks of `count` bytes between all pairs of ranks: the one that rank r gets begins at `from[r]`, and the one that comes from it goes
   * to `to[r]`. Nothing is moved from a rank to itself. All numbers are multiples of 4.
   */
  exchange(
    send: Uint8Array,
    from: readonly number[],
    receive: Uint8Array,
    to: readonly number[],
    count: number,
  ): Promise<void>;
  /** What every rank sends, in the order of ranks. */
  allGather(send: Uint8Array, receive: Uint8Array): Promise<void>;
  /** Bytes of the first rank to all. */
  broadcast(bytes: Uint8Array): Promise<void>;
  /** Returns when all ranks are here; the processor is free until then. */
  wait(): Promise<void>;
}

/** A rank failed, and all ranks know: nobody waits for it, and each has the same message. */
export class RankError extends DcaeError {
  override readonly name: string = "RankError";
  /** The rank that failed. */
  readonly rank: number;

  constructor(message: string, rank: number, options: DcaeErrorOptions = {}) {
    super(message, options);
    this.rank = rank;
  }
}

/** One rank's side of what processes that work together say to each other. `openMpi` gives one. */
export interface Communicator {
  readonly rank: number;
  readonly size: number;
  /** How many ranks this machine has. */
  readonly neighbors: number;
  /** Names of the ranks for messages, as in "rank 1 (process 4711 on node-b)". */
  readonly names: readonly string[];
  /** Seconds and bytes that collective calls took so far. */
  readonly spent: { readonly seconds: number; readonly bytes: number };
  /**
   * Replaces each element by the sum of all ranks', in place; the same bits on all ranks. It starts at once and goes on while the
   * caller does something else; what was started first is done first.
   *
   * @returns the position of the first element of this rank's own data that isn't finite, or -1
   */
  sum(data: Float32Array | Float64Array): Promise<number>;
  /**
   * Sums of which each rank needs a part: `data` is a block for each rank, all of one length, and block number `rank` becomes the sum of
   * all ranks' blocks of that number. Half the bytes of `sum`, and the same bits. It doesn't copy what it is given.
   *
   * @returns the ranks whose block for this one holds a number that isn't finite
   */
  sumBlocks(data: Float32Array): Promise<number[]>;
  /** The other half: block number `rank` goes to all, into the same place. */
  shareBlocks(data: Float32Array): Promise<void>;
  /**
   * A value of every rank, as JSON, in the order of ranks.
   *
   * @param topic what is gathered: where ranks aren't at the same place of their work, they hear of it
   * @throws RankError on all ranks where one calls `fail` instead
   */
  gather<T>(topic: string, value: T): Promise<T[]>;
  /** Takes part in the gathering that the others are in, or come to next, with an error: they throw it. */
  fail(error: unknown): Promise<never>;
  /** The first rank's bytes to all, in place. */
  broadcast(bytes: Uint8Array): Promise<void>;
  /** Returns when all ranks are here. For long waits: it leaves the processor alone. */
  wait(): Promise<void>;
  /** Ends all ranks, whatever they are doing; the error is shown once. */
  abort(error: unknown): Promise<never>;
  /** Ends this rank's part, once all ranks came to it. */
  close(): Promise<void>;
}

/** Up to here, every rank adds up for itself: one call instead of two. */
const SMALL_BYTES = 16 * 1024;
/** Messages of libraries are counted in 32 bits; and what goes through caches is added up several times as fast. */
const PART_BYTES = 4 * 2 ** 20;
/** What a value of `gather` takes at least: most of them fit, and need one call. */
const CARD_BYTES = 512;

type Numbers = Float32Array | Float64Array;

const bytesOf = (data: Numbers) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/**
 * Adds two blocks up, in half the time of `addBlocks`: four elements at a time, whose chains of additions don't wait for each other.
 *
 * @returns whether all sums are finite
 */
function addTwo(one: Numbers, other: Numbers, target: Numbers): boolean {
  const { length } = target;
  const even = length - (length % 4);
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < even; i += 4) {
    const first = (one[i] as number) + (other[i] as number);
    const second = (one[i + 1] as number) + (other[i + 1] as number);
    const third = (one[i + 2] as number) + (other[i + 2] as number);
    const fourth = (one[i + 3] as number) + (other[i + 3] as number);
    target[i] = first;
    target[i + 1] = second;
    target[i + 2] = third;
    target[i + 3] = fourth;
    a += first * 0;
    b += second * 0;
    c += third * 0;
    d += fourth * 0;
  }
  for (let i = even; i < length; i++) {
    const sum = (one[i] as number) + (other[i] as number);
    target[i] = sum;
    a += sum * 0;
  }
  return a + b + c + d === 0;
}

/**
 * Adds `size` blocks of `count` elements up, in their order.
 *
 * @returns whether all sums are finite
 */
function addBlocks(blocks: Numbers, size: number, count: number, target: Numbers): boolean {
  const end = size * count;
  let zero = 0;
  for (let i = 0; i < count; i++) {
    let sum = 0 + (blocks[i] as number);
    for (let at = i + count; at < end; at += count) sum += blocks[at] as number;
    target[i] = sum;
    zero += sum * 0;
  }
  return zero === 0;
}

/** The first element that is NaN or infinite; -1 where none is. */
function firstNonFinite(data: Numbers): number {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += (data[i] as number) * 0;
  return sum === 0 ? -1 : data.findIndex((value) => !Number.isFinite(value));
}

interface Card {
  readonly topic: string;
  readonly value?: unknown;
  readonly error?: { readonly message: string; readonly hint?: string | undefined };
}

export interface CommunicatorOptions {
  readonly names: readonly string[];
  /** Ranks on this machine; default: all. */
  readonly neighbors?: () => number;
  /** Ends all ranks with this message. */
  readonly abort: (message: string) => Promise<never>;
  readonly close: () => Promise<void>;
}

export function createCommunicator(
  transport: Transport,
  { names, neighbors, abort, close }: CommunicatorOptions,
): Communicator {
  const { rank, size } = transport;
  const spent = { seconds: 0, bytes: 0 };
  let last: Promise<unknown> = Promise.resolve();

  /** One call after the other, in the order in which they were started. */
  function inTurn<T>(bytes: number, action: () => Promise<T>): Promise<T> {
    const result = last.then(async () => {
      const start = performance.now();
      try {
        return await action();
      } finally {
        spent.seconds += (performance.now() - start) / 1000;
        spent.bytes += bytes;
      }
    });
    last = result.catch(() => undefined);
    return result;
  }

  // New memory for each part would take longer than the sums.
  const buffers = new Map<string, ArrayBuffer>();
  function borrow(name: string, like: Numbers, count: number): Numbers {
    const bytes = count * like.BYTES_PER_ELEMENT;
    const held = buffers.get(name);
    const buffer = held !== undefined && held.byteLength >= bytes ? held : new ArrayBuffer(bytes);
    buffers.set(name, buffer);
    return like instanceof Float32Array ? new Float32Array(buffer, 0, count) : new Float64Array(buffer, 0, count);
  }

  async function sumPart(data: Numbers): Promise<void> {
    if (data.byteLength <= SMALL_BYTES) {
      const all = borrow("received", data, size * data.length);
      await transport.allGather(bytesOf(data), bytesOf(all));
      addBlocks(all, size, data.length, data);
      return;
    }
    const count = Math.ceil(data.length / size);
    const padded = borrow("padded", data, size * count);
    padded.set(data as never);
    padded.fill(0, data.length);
    await sumBlocks(padded);
    await shareBlocks(padded);
    data.set(padded.subarray(0, data.length) as never);
  }

  /** Blocks of `data` in parts: where in them each begins, in elements, and its length. */
  async function eachPart(
    data: Numbers,
    work: (length: number, start: number, count: number) => Promise<void>,
  ): Promise<void> {
    const length = data.length / size;
    const step = Math.max(1, Math.floor(PART_BYTES / data.BYTES_PER_ELEMENT / size));
    for (let start = 0; start < length; start += step) await work(length, start, Math.min(step, length - start));
  }

  const everyRank = Array.from({ length: size }, (_, i) => i);

  async function sumBlocks(data: Numbers): Promise<number[]> {
    const wrong = new Set<number>();
    const unit = data.BYTES_PER_ELEMENT;
    await eachPart(data, async (length, start, count) => {
      const received = borrow("received", data, size * count);
      const own = data.subarray(rank * length + start, rank * length + start + count);
      const blockOf = (from: number) => (from === rank ? own : received.subarray(from * count, (from + 1) * count));
      await transport.exchange(
        bytesOf(data),
        everyRank.map((to) => unit * (to * length + start)),
        bytesOf(received),
        everyRank.map((from) => unit * from * count),
        unit * count,
      );
      const sums = borrow("sums", data, count);
      let areFinite: boolean;
      if (size === 2) areFinite = addTwo(own, blockOf(1 - rank), sums);
      else {
        received.set(own as never, rank * count);
        areFinite = addBlocks(received, size, count, sums);
      }
      if (!areFinite) for (const from of everyRank) if (firstNonFinite(blockOf(from)) !== -1) wrong.add(from);
      own.set(sums as never);
    });
    return [...wrong];
  }

  async function shareBlocks(data: Numbers): Promise<void> {
    const unit = data.BYTES_PER_ELEMENT;
    await eachPart(data, (length, start, count) =>
      transport.exchange(
        bytesOf(data),
        everyRank.map(() => unit * (rank * length + start)),
        bytesOf(data),
        everyRank.map((from) => unit * (from * length + start)),
        unit * count,
      ),
    );
  }

  async function gatherCards(card: Card): Promise<Card[]> {
    const text = new TextEncoder().encode(JSON.stringify(card));
    const first = new Uint8Array(CARD_BYTES);
    new DataView(first.buffer).setUint32(0, text.length);
    first.set(text.subarray(0, CARD_BYTES - 4), 4);
    const all = new Uint8Array(size * CARD_BYTES);
    await transport.allGather(first, all);
    const lengths = Array.from({ length: size }, (_, i) => new DataView(all.buffer).getUint32(i * CARD_BYTES));
    const longest = Math.max(...lengths);
    let [texts, width, offset] = [all, CARD_BYTES, 4];
    if (longest > CARD_BYTES - 4) {
      const whole = new Uint8Array(longest);
      whole.set(text);
      [texts, width, offset] = [new Uint8Array(size * longest), longest, 0];
      await transport.allGather(whole, texts);
    }
    return lengths.map((length, i) => {
      const start = i * width + offset;
      return JSON.parse(new TextDecoder().decode(texts.subarray(start, start + length))) as Card;
    });
  }

  /** The error of the first rank that has one. */
  /** A failure that is everybody's names nobody. */
  function failureOf(cards: readonly Card[], cause?: unknown): RankError | undefined {
    const failed = cards.findIndex(({ error }) => error !== undefined);
    const error = cards[failed]?.error;
    if (error === undefined) return undefined;
    const isCommon = size > 1 && cards.every((card) => card.error?.message === error.message);
    return new RankError(isCommon ? error.message : `${names[failed]}: ${error.message}`, failed, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      ...(failed === rank ? { cause } : {}),
    });
  }

  return {
    rank,
    size,
    names,
    get neighbors() {
      return neighbors?.() ?? size;
    },
    spent,
    sum: (data) =>
      inTurn(data.byteLength, async () => {
        const wrong = firstNonFinite(data);
        const step = PART_BYTES / data.BYTES_PER_ELEMENT;
        for (let at = 0; at < data.length; at += step) await sumPart(data.subarray(at, at + step));
        return wrong;
      }),
    sumBlocks: (data) => inTurn(data.byteLength, () => sumBlocks(data)),
    shareBlocks: (data) => inTurn(data.byteLength, () => shareBlocks(data)),
    gather: <T>(topic: string, value: T) =>
      inTurn(0, async () => {
        const cards = await gatherCards({ topic, value });
        const failure = failureOf(cards);
        if (failure !== undefined) throw failure;
        const other = cards.findIndex((card) => card.topic !== topic);
        if (other === -1) return cards.map((card) => card.value as T);
        throw new RankError(`${names[other]}: is at "${cards[other]?.topic}", ${names[rank]} at "${topic}"`, other);
      }),
    async fail(error) {
      if (error instanceof RankError) throw error;
      const hint = error instanceof DcaeError ? error.hint : undefined;
      const message = error instanceof DcaeError ? error.message : `unexpected error: ${errorMessage(error)}`;
      const cards = await inTurn(0, () => gatherCards({ topic: "", error: { message, hint } }));
      throw failureOf(cards, error) as RankError;
    },
    broadcast: (bytes) =>
      inTurn(bytes.byteLength, async () => {
        for (let at = 0; at < bytes.length; at += PART_BYTES)
          await transport.broadcast(bytes.subarray(at, at + PART_BYTES));
      }),
    wait: () => inTurn(0, () => transport.wait()),
    async abort(error) {
      if (error instanceof RankError) throw error;
      const hint = error instanceof DcaeError && error.hint !== undefined ? ` ${error.hint}` : "";
      return abort(`${names[rank]}: ${errorMessage(error)}${hint}`);
    },
    close: () => inTurn(0, close),
  };
}
