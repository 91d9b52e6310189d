/**
 * Philox4x32-10: 128 random bits as a pure function of a 128-bit counter and a 64-bit key, with no other state.
 *
 * Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011); tested against the known answers
 * that its authors published (Random123). Everything random in this project is drawn from it on the host, so that a
 * seed means the same numbers on every engine and platform, and a run can stop and resume at any position.
 */

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
export function philoxBlock(
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
