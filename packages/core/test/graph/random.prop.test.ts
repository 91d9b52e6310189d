/** Philox against a second implementation in 64-bit integers; positions and series against their definitions. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { cosineOfTurn, naturalLog, sineOfTurn } from "../../src/graph/deterministic-math.js";
import { createRandom, philox4x32 } from "../../src/graph/random.js";

const run = { seed: 20241014, numRuns: 300 };
const word = fc.integer({ min: 0, max: 0xffffffff });

/** Straight from the definition, with exact 64-bit products. */
function philoxWithBigints(counter: readonly number[], key: readonly number[]): number[] {
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  const low = (x: bigint) => x & 0xffffffffn;
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0;
    const p1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, low(p1), (p0 >> 32n) ^ c3 ^ k1, low(p0)];
    k0 = low(k0 + 0x9e3779b9n);
    k1 = low(k1 + 0xbb67ae85n);
  }
  return [c0, c1, c2, c3].map(Number);
}

test("philox equals its definition in exact integers", () => {
  fc.assert(
    fc.property(fc.tuple(word, word, word, word), fc.tuple(word, word), (counter, key) => {
      expect(philox4x32(counter, key)).toEqual(philoxWithBigints(counter, key));
    }),
    run,
  );
});

test("any position can be sought, and continues as if drawn from the start", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, (1n << 64n) - 1n), fc.nat(60), fc.nat(20), (seed, skipped, count) => {
      const whole = createRandom(seed).uint32(new Uint32Array(skipped + count));
      const random = createRandom(seed);
      random.seek(skipped);
      expect(random.uint32(new Uint32Array(count))).toEqual(whole.subarray(skipped));
      expect(random.position).toBe(skipped + count);
    }),
    run,
  );
});

test("normals of an even length can be drawn in parts", () => {
  fc.assert(
    fc.property(fc.nat(30), fc.nat(30), (first, second) => {
      const whole = createRandom(7).normal(new Float32Array(2 * (first + second)));
      const random = createRandom(7);
      const parts = [...random.normal(new Float32Array(2 * first)), ...random.normal(new Float32Array(2 * second))];
      expect(parts).toEqual([...whole]);
    }),
    run,
  );
});

test("a shuffle is a permutation", () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.array(fc.integer(), { maxLength: 40 }), (seed, items) => {
      const shuffled = createRandom(seed).shuffle([...items]);
      const sorted = (list: number[]) => [...list].sort((a, b) => a - b);
      expect(sorted(shuffled)).toEqual(sorted(items));
    }),
    run,
  );
});

test("logarithm, sine and cosine are accurate", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 2 ** -40, max: 2 ** 40, noNaN: true }),
      fc.double({ min: -4, max: 4, noNaN: true }),
      (x, turn) => {
        const log = Math.log(x);
        expect(Math.abs(naturalLog(x) - log)).toBeLessThanOrEqual(4e-16 * Math.max(Math.abs(log), 1));
        expect(Math.abs(sineOfTurn(turn) - Math.sin(2 * Math.PI * turn))).toBeLessThan(5e-15);
        expect(Math.abs(cosineOfTurn(turn) - Math.cos(2 * Math.PI * turn))).toBeLessThan(5e-15);
      },
    ),
    { ...run, numRuns: 2000 },
  );
});

test.each([
  [0, 0, 1],
  [0.25, 1, 0],
  [0.5, 0, -1],
  [0.75, -1, 0],
  [1, 0, 1],
])("quarter turns are exact: %d", (turn, sine, cosine) => {
  expect(sineOfTurn(turn) + 0).toBe(sine);
  expect(cosineOfTurn(turn) + 0).toBe(cosine);
});
