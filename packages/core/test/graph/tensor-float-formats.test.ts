import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeFloats, encodeFloats, isNarrowFloat, type NarrowFloat } from "../../src/graph/dtype.js";

const narrow: readonly NarrowFloat[] = ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"];
const bits = { float16: 16, bfloat16: 16, float8_e4m3fn: 8, float8_e5m2: 8 } as const;
const seed = { seed: 410, numRuns: 3000 };

function codesOf(name: NarrowFloat): Uint16Array | Uint8Array {
  const count = 2 ** bits[name];
  const codes = bits[name] === 16 ? new Uint16Array(count) : new Uint8Array(count);
  return codes.map((_, code) => code);
}

/** Bits of a float32. */
function float32FromBits(word: number): number {
  return new Float32Array(Uint32Array.of(word).buffer)[0] as number;
}

/**
 * Second way to the values: shift the fields into a float32's fields and correct the exponent bias by one multiplication
 * (which also scales subnormals right), as hardware without these formats does.
 */
function decodeByShifting(code: number, exponentBits: number, mantissaBits: number): number {
  const width = 1 + exponentBits + mantissaBits;
  const sign = (code >>> (width - 1)) << 31;
  const rest = code & ((1 << (width - 1)) - 1);
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponentBits === 8) return float32FromBits((sign | (rest << (23 - mantissaBits))) >>> 0);
  return float32FromBits((sign | (rest << (23 - mantissaBits))) >>> 0) * 2 ** (127 - bias);
}

const fields = { float16: [5, 10], bfloat16: [8, 7], float8_e4m3fn: [4, 3], float8_e5m2: [5, 2] } as const;

describe.each(narrow)("%s", (name) => {
  const codes = codesOf(name);
  const values = decodeFloats(name, codes);

  it("decodes every code as an independent computation does", () => {
    const [exponentBits, mantissaBits] = fields[name];
    const top = (2 ** exponentBits - 1) * 2 ** mantissaBits;
    for (const code of codes) {
      const magnitude = code & (2 ** (bits[name] - 1) - 1);
      const value = values[code] as number;
      const sign = code === magnitude ? 1 : -1;
      if (name === "float8_e4m3fn" && magnitude === 0x7f) expect(value).toBeNaN();
      else if (name !== "float8_e4m3fn" && magnitude > top) expect(value).toBeNaN();
      else if (name !== "float8_e4m3fn" && magnitude === top) expect(value).toBe(sign * Number.POSITIVE_INFINITY);
      else if (!Object.is(value, decodeByShifting(code, exponentBits, mantissaBits))) {
        expect.fail(`code ${code}: ${value} instead of ${decodeByShifting(code, exponentBits, mantissaBits)}`);
      }
    }
  });

  it("gives back every code it decodes, NaN as some NaN", () => {
    for (const source of [values, Float64Array.from(values)]) {
      const back = encodeFloats(name, source);
      const wrong = Array.from(codes).filter((code) => !Number.isNaN(values[code]) && back[code] !== code);
      expect(wrong).toEqual([]);
      const lost = Array.from(codes).filter(
        (code) => Number.isNaN(values[code]) && !Number.isNaN(decodeFloats(name, back)[code]),
      );
      expect(lost).toEqual([]);
    }
  });

  // Brute force: of all finite values the nearest one, of two equally near ones the one with the even code.
  const finite = Array.from(codes)
    .filter((code) => Number.isFinite(values[code]) && code < 2 ** (bits[name] - 1))
    .map((code) => ({ code, value: values[code] as number }));
  const largest = finite.at(-1) as { code: number; value: number };
  const beforeLargest = finite.at(-2) as { code: number; value: number };
  const overflowCode = largest.code + 1;
  /** First magnitude that no longer rounds to the largest finite value (ties: to the even one of the two codes). */
  const overflow = largest.value + (largest.value - beforeLargest.value) / 2;

  function nearest(magnitude: number): number {
    const overflows = largest.code % 2 === 0 ? magnitude > overflow : magnitude >= overflow;
    if (overflows) return overflowCode;
    let low = 0;
    let high = finite.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((finite[middle] as { value: number }).value <= magnitude) low = middle;
      else high = middle;
    }
    const [a, b] = [finite[low] as typeof largest, finite[high] as typeof largest];
    const [da, db] = [magnitude - a.value, b.value - magnitude];
    if (da !== db) return da < db ? a.code : b.code;
    return a.code % 2 === 0 ? a.code : b.code;
  }

  const sample = fc.oneof(
    fc.double({ noNaN: true }),
    fc.float({ noNaN: true }),
    // Around the finite values and the middles between them, where rounding decides.
    fc
      .record({ i: fc.nat(finite.length - 2), t: fc.constantFrom(0, 0.25, 0.4999999, 0.5, 0.5000001, 0.75) })
      .map(({ i, t }) => {
        const [a, b] = [finite[i]?.value as number, finite[i + 1]?.value as number];
        return a + (b - a) * t;
      }),
    fc.constantFrom(overflow, overflow * (1 - 2 ** -30), overflow * (1 + 2 ** -30), Number.MAX_VALUE, 5e-324),
  );

  it("encodes to the nearest value, ties to even, overflow beyond the last", () => {
    fc.assert(
      fc.property(sample, fc.boolean(), (magnitude, negative) => {
        const value = negative ? -Math.abs(magnitude) : Math.abs(magnitude);
        const [code] = encodeFloats(name, [value]);
        const expected = nearest(Math.abs(value)) + (negative ? 2 ** (bits[name] - 1) : 0);
        expect(code).toBe(expected);
      }),
      seed,
    );
  });

  it("has the same result for float32 input whatever array it comes in", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true }), { maxLength: 20 }), (list) => {
        expect(encodeFloats(name, Float32Array.from(list))).toEqual(encodeFloats(name, list));
      }),
      { ...seed, numRuns: 300 },
    );
  });
});

it("bfloat16 keeps NaN a NaN whatever its payload", () => {
  const words = Uint32Array.of(0x7f800001, 0x7fc00000, 0xff800001, 0xffffffff, 0x7fffffff, 0x7f80ffff);
  const codes = encodeFloats("bfloat16", new Float32Array(words.buffer));
  expect(Array.from(decodeFloats("bfloat16", codes)).every(Number.isNaN)).toBe(true);
});

it("reads a float32 array that starts inside of its buffer", () => {
  const values = Float32Array.of(9, 1, 2).subarray(1);
  expect(Array.from(decodeFloats("bfloat16", encodeFloats("bfloat16", values)))).toEqual([1, 2]);
});

it("knows its names", () => {
  expect(isNarrowFloat("float16")).toBe(true);
  expect(isNarrowFloat("float32")).toBe(false);
  expect(isNarrowFloat("constructor")).toBe(false);
});

describe.each(["float16", "bfloat16"] as const)("%s from float32", (name) => {
  it("gives the same bits as from doubles: around every boundary, and at random", () => {
    // Every code's value, the midpoint to the next one, and the neighbors of both.
    const codes = codesOf(name);
    const words = new Uint32Array(decodeFloats(name, codes).buffer);
    const half = name === "float16" ? 0x1000 : 0x8000;
    const around = [...words].flatMap((word) => [
      word - 1,
      word,
      word + 1,
      word + half - 1,
      word + half,
      word + half + 1,
    ]);
    // Below the smallest normal float16, midpoints lie elsewhere: all words of a coarse grid, with neighbors.
    for (let word = 0x32000000; word < 0x39000000; word += 0x800) around.push(word - 1, word, word + 1);
    let state = 1;
    for (let i = 0; i < 200_000; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      around.push(state);
    }
    const values = new Float32Array(Uint32Array.from(around).buffer);
    const doubles = Array.from(values);
    const fast = encodeFloats(name, values);
    const general = encodeFloats(name, doubles);
    const differing = doubles.filter((value, i) => fast[i] !== general[i] && !Number.isNaN(value));
    expect(differing).toEqual([]);
    // NaN stays NaN; its payload isn't specified.
    expect(decodeFloats(name, fast).every((value, i) => Number.isNaN(value) === Number.isNaN(doubles[i]))).toBe(true);
  });
});
