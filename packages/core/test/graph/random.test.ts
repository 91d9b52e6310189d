/** Philox against the answers its authors published, and what `createRandom` promises about positions and floats. */
import { expect, test } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { createRandom, philox4x32, streamNumber, type Words2, type Words4 } from "../../src/graph/random.js";

const ones = 0xffffffff;

test.each<[string, Words4, Words2, Words4]>([
  ["zeros", [0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
  ["ones", [ones, ones, ones, ones], [ones, ones], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
  [
    "digits of pi",
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
])("philox4x32-10 known answer: %s", (_, counter, key, expected) => {
  expect(philox4x32(counter, key)).toEqual(expected);
});

test("word i is word i mod 4 of the block with counter (floor(i / 4), stream) and key seed", () => {
  const seed = 0x1234_5678_9abc_def0n;
  const stream = 0xfedc_ba98_7654_3210n;
  const words = createRandom(seed, stream).uint32(new Uint32Array(11));
  for (let i = 0; i < words.length; i++) {
    const block = philox4x32([Math.floor(i / 4), 0, 0x76543210, 0xfedcba98], [0x9abcdef0, 0x12345678]);
    expect(words[i]).toBe(block[i % 4]);
  }
});

test("block numbers above 32 bits reach the second counter word", () => {
  const random = createRandom(3);
  random.seek(2 ** 34 + 2 ** 36 + 1);
  expect(random.nextUint32()).toBe(philox4x32([0, 5, 0, 0], [3, 0])[1]);
});

// Uniforms, integers: an independent implementation in another language. Normals: that one agrees to 4e-16.
const UNIFORMS = [0.40598195791244507, 0.8958139419555664, 0.42380964756011963];
const NORMALS = [1.1869567869234987, -0.8863347904231338, -1.2961207338469976, -0.5296019399093339];
const INTEGERS = [9, 4, 5, 4, 3, 4];
const SHUFFLED = [5, 3, 4, 1, 7, 2, 6, 0];

test("the same bits everywhere: fixed values of each mapping", () => {
  const random = createRandom(42, 7);
  expect([...random.uniform(new Float32Array(3))]).toEqual(UNIFORMS);
  expect([...random.normal(new Float64Array(4))]).toEqual(NORMALS);
  expect(random.position).toBe(7);
  expect(Array.from({ length: 6 }, () => random.nextInteger(10))).toEqual(INTEGERS);
  expect(random.shuffle([0, 1, 2, 3, 4, 5, 6, 7])).toEqual(SHUFFLED);
});

test("uniforms have the moments and the range of [0, 1)", () => {
  const values = createRandom(1).uniform(new Float32Array(200_000));
  const { mean, variance, low, high } = moments(values);
  // Five standard errors.
  expect(Math.abs(mean - 0.5)).toBeLessThan(5 / Math.sqrt(12 * values.length));
  expect(Math.abs(variance - 1 / 12)).toBeLessThan(5 / Math.sqrt(180 * values.length));
  expect(low).toBeGreaterThanOrEqual(0);
  expect(high).toBeLessThan(1);
});

test("normals have the moments, tails and independence of a standard normal", () => {
  const values = createRandom(2, "noise").normal(new Float32Array(200_000));
  const { mean, variance, skew, kurtosis } = moments(values);
  const n = values.length;
  expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(n));
  expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
  expect(Math.abs(skew)).toBeLessThan(5 * Math.sqrt(6 / n));
  expect(Math.abs(kurtosis - 3)).toBeLessThan(5 * Math.sqrt(24 / n));
  const beyond2 = values.filter((value) => Math.abs(value) > 2).length / n;
  expect(Math.abs(beyond2 - 0.0455)).toBeLessThan(5 * Math.sqrt(0.0455 / n));
  let lag1 = 0;
  for (let i = 1; i < n; i++) lag1 += values[i]! * values[i - 1]!;
  expect(Math.abs(lag1 / n)).toBeLessThan(5 / Math.sqrt(n));
});

test("integers are uniform for a bound that doesn't divide 2^32", () => {
  const random = createRandom(5);
  const counts = new Array<number>(7).fill(0);
  for (let i = 0; i < 70_000; i++) counts[random.nextInteger(7)]!++;
  const chi2 = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
  expect(chi2).toBeLessThan(27.9); // 6 degrees of freedom, p = 1e-4
});

test("a rejected draw is replaced, not reduced", () => {
  // Bound 3 * 2^30 rejects a quarter of the words.
  const bound = 3 * 2 ** 30;
  const random = createRandom(9);
  const plain = createRandom(9);
  for (let i = 0; i < 100; i++) {
    let word = plain.nextUint32();
    while (word >= bound) word = plain.nextUint32();
    expect(random.nextInteger(bound)).toBe(word);
  }
  expect(random.position).toBe(plain.position);
  expect(random.position).toBeGreaterThan(100);
});

test("streams by name are FNV-1a", () => {
  expect(streamNumber("")).toBe(0xcbf29ce484222325n);
  expect(streamNumber("a")).toBe(0xaf63dc4c8601ec8cn);
  expect(streamNumber("foobar")).toBe(0x85944171f73967e8n);
  expect(createRandom(1, "foobar").nextUint32()).toBe(createRandom(1, 0x85944171f73967e8n).nextUint32());
});

test.each([
  () => createRandom(-1),
  () => createRandom(1.5),
  () => createRandom(Number.NaN),
  () => createRandom(2 ** 53),
  () => createRandom(1n << 64n),
  () => createRandom(0, -1),
  () => createRandom(0).seek(-1),
  () => createRandom(0).seek(0.5),
  () => createRandom(0).nextInteger(0),
  () => createRandom(0).nextInteger(2 ** 32 + 1),
  () => createRandom(0).nextInteger(2.5),
])("out of range: %s", (call) => {
  expect(call).toThrow(ConfigError);
});

function moments(values: Float32Array) {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const central = (power: number) => values.reduce((sum, value) => sum + (value - mean) ** power, 0) / n;
  const variance = central(2);
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  return { mean, variance, skew: central(3) / variance ** 1.5, kurtosis: central(4) / variance ** 2, low, high };
}
