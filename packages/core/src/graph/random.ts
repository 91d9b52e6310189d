/**
 * Seeded random numbers: a position in the Philox sequence of (seed, stream), and the mapping from words to floats.
 *
 * Word number `i` of a stream is word `i mod 4` of the block with counter (floor(i / 4), stream) and key seed, each 64
 * bits. Draws only move the position, so `position` is the whole state: save it, and `seek` to it after a restart.
 * Uniforms are `(word >>> 8) * 2^-24`: every value is an exact float32 in [0, 1). Normals use Box and Muller (1958) on
 * pairs of words; the logarithm, sine and cosine in it are our own series (deterministic-math.ts), because those of JavaScript
 * may differ in the last bit between engines. The same seed gives the same bits everywhere.
 */
import { ConfigError } from "../errors.js";
import { cosineOfTurn, naturalLog, sineOfTurn } from "./deterministic-math.js";

/** A sequence of random numbers that is fixed by its seed and stream. */
export interface Random {
  /** Number of 32-bit words drawn so far; the whole state. */
  readonly position: number;
  /** Moves to word number `position` (a non-negative safe integer). */
  seek(position: number): void;
  /** The next word, in [0, 2^32). */
  nextUint32(): number;
  /** The next uniform, in [0, 1): a multiple of 2^-24, exact as float32. One word. */
  nextUniform(): number;
  /** One standard normal, rounded to float32. Two words (the second normal of the pair is dropped). */
  nextNormal(): number;
  /** An unbiased integer in [0, bound), `bound` in 1..2^32. At least one word, more when a draw is rejected. */
  nextInteger(bound: number): number;
  /** Fills `out` with words. */
  uint32(out: Uint32Array): Uint32Array;
  /** Fills `out` with uniforms in [low, high): `low + (high - low) * u` in float64, rounded. One word each. */
  uniform<A extends Float32Array | Float64Array>(out: A, low?: number, high?: number): A;
  /** Fills `out` with `mean + std * z`. Words are used in pairs: 2 * ceil(length / 2) of them. At most 6.66 sigma. */
  normal<A extends Float32Array | Float64Array>(out: A, mean?: number, std?: number): A;
  /** Shuffles the items in place (Fisher and Yates), every order equally likely; returns them. */
  shuffle<A extends unknown[] | Uint32Array | Int32Array>(items: A): A;
}

const WORD = 2 ** 32;

function split64(value: number | bigint, what: string): [number, number] {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new ConfigError(`createRandom: ${what} must be an integer in [0, 2^64), got ${value}`, {
      hint: "Use a bigint for values above 2^53.",
    });
  }
  const big = BigInt(value);
  if (big < 0n || big >= 1n << 64n) {
    throw new ConfigError(`createRandom: ${what} must be an integer in [0, 2^64), got ${value}`);
  }
  return [Number(big & 0xffffffffn), Number(big >> 32n)];
}

/** The 64-bit number of a stream that is given by name (FNV-1a over UTF-8), so that names replace a table of numbers. */
export function streamNumber(name: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}

/**
 * A sequence of random numbers.
 *
 * @param seed integer in [0, 2^64); a bigint above 2^53
 * @param stream which of the 2^64 independent sequences of the seed: a number, or a name such as a parameter's
 * @throws ConfigError when either is out of range
 */
export function createRandom(seed: number | bigint, stream: number | bigint | string = 0): Random {
  const [key0, key1] = split64(seed, "seed");
  const [stream0, stream1] = split64(typeof stream === "string" ? streamNumber(stream) : stream, "stream");
  const block = new Uint32Array(4);
  let blockNumber = -1; // the block that is held in `block`
  let position = 0;

  function next(): number {
    const wanted = Math.floor(position / 4);
    if (wanted !== blockNumber) {
      philoxBlock(wanted, Math.floor(wanted / WORD), stream0, stream1, key0, key1, block);
      blockNumber = wanted;
    }
    return block[position++ & 3] as number;
  }

  function nextInteger(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > WORD) {
      throw new ConfigError(`nextInteger: bound must be an integer in 1..2^32, got ${bound}`);
    }
    // Words at or above the largest multiple of `bound` would favor small results.
    const limit = WORD - (WORD % bound);
    let word = next();
    while (word >= limit) word = next();
    return word % bound;
  }

  function normal<A extends Float32Array | Float64Array>(out: A, mean = 0, std = 1): A {
    for (let i = 0; i < out.length; i += 2) {
      // (word + 1) / 2^32 lies in (0, 1], so that the logarithm is finite.
      const radius = Math.sqrt(-2 * naturalLog((next() + 1) / WORD));
      const turn = next() / WORD;
      out[i] = mean + std * (radius * cosineOfTurn(turn));
      if (i + 1 < out.length) out[i + 1] = mean + std * (radius * sineOfTurn(turn));
    }
    return out;
  }

  const single = new Float32Array(1);
  return {
    get position() {
      return position;
    },
    seek(target) {
      if (!Number.isSafeInteger(target) || target < 0) {
        throw new ConfigError(`seek: position must be a non-negative integer, got ${target}`);
      }
      position = target;
    },
    nextUint32: next,
    nextUniform: () => (next() >>> 8) * 2 ** -24,
    nextNormal: () => normal(single)[0] as number,
    nextInteger,
    uint32(out) {
      for (let i = 0; i < out.length; i++) out[i] = next();
      return out;
    },
    uniform(out, low = 0, high = 1) {
      const range = high - low;
      for (let i = 0; i < out.length; i++) out[i] = low + range * ((next() >>> 8) * 2 ** -24);
      return out;
    },
    normal,
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = nextInteger(i + 1);
        const held = items[i];
        items[i] = items[j] as never;
        items[j] = held as never;
      }
      return items;
    },
  };
}

// Philox4x32-10: 128 random bits as a pure function of a 128-bit counter and a 64-bit key, with no other state.
//
// Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011); tested against the known answers
// that its authors published (Random123). Everything random in this project is drawn from it on the host, so that a
// seed means the same numbers on every engine and platform, and a run can stop and resume at any position.

/** Four unsigned 32-bit words, least significant first. */
export type Words4 = readonly [number, number, number, number];
/** Two unsigned 32-bit words, least significant first. */
export type Words2 = readonly [number, number];

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
// The key schedule adds the golden ratio and sqrt(3) - 1, each times 2^32.
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** Upper 32 bits of the 64-bit product of two unsigned 32-bit words, as a signed integer. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // Neither sum exceeds 2^32 - 1, so reading them back with >>> is exact.
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) | 0;
  const carry = (Math.imul(aLow, bHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (carry >>> 16)) | 0;
}

/**
 * Writes one block of four words to `out[offset..offset + 3]`.
 *
 * The words of counter and key are read modulo 2^32, least significant first.
 */
function philoxBlock(
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
  key0: number,
  key1: number,
  out: Uint32Array,
  offset = 0,
): void {
  let c0 = counter0 | 0;
  let c1 = counter1 | 0;
  let c2 = counter2 | 0;
  let c3 = counter3 | 0;
  let k0 = key0 | 0;
  let k1 = key1 | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  out[offset] = c0;
  out[offset + 1] = c1;
  out[offset + 2] = c2;
  out[offset + 3] = c3;
}

/**
 * The Philox4x32-10 function: four random words for `counter` under `key` (words least significant first).
 *
 * For sequences of numbers use `createRandom`, which counts for you.
 */
export function philox4x32(counter: Words4, key: Words2): [number, number, number, number] {
  const out = new Uint32Array(4);
  philoxBlock(counter[0], counter[1], counter[2], counter[3], key[0], key[1], out);
  return [out[0] as number, out[1] as number, out[2] as number, out[3] as number];
}
