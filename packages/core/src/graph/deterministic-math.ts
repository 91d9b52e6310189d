/**
 * Logarithm, sine and cosine from + - * / alone.
 *
 * ECMAScript leaves the last bits of Math.log, Math.sin and Math.cos to the engine. These series use only operations
 * that IEEE 754 rounds in one way, so every platform computes the same bits; they agree with the true values to a few
 * units in the last place (tested).
 */

const HALF_PI = Math.PI / 2;

/** Natural logarithm of a positive, normal, finite number. */
export function naturalLog(x: number): number {
  let exponent = 0;
  let mantissa = x;
  while (mantissa < 2 ** -16) {
    mantissa *= 2 ** 16;
    exponent -= 16;
  }
  while (mantissa >= 2 ** 16) {
    mantissa *= 2 ** -16;
    exponent += 16;
  }
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    exponent--;
  }
  while (mantissa >= Math.SQRT2) {
    mantissa *= 0.5;
    exponent++;
  }
  // log m = 2 artanh((m - 1) / (m + 1)); |s| <= 0.172, so the first dropped term is below 1e-17.
  const s = (mantissa - 1) / (mantissa + 1);
  const q = s * s;
  let series = 1 / 19;
  for (let n = 17; n >= 1; n -= 2) series = series * q + 1 / n;
  return exponent * Math.LN2 + 2 * s * series;
}

// Taylor coefficients of sin(a)/a and cos(a) in a^2; on [0, pi/2] the first dropped terms are below 1e-17.
const SINE = taylor(3);
const COSINE = taylor(2);

function taylor(first: number): readonly number[] {
  const coefficients = [1];
  for (let n = first, term = 1; coefficients.length < 12; n += 2) {
    term /= -(n * (n - 1));
    coefficients.unshift(term); // highest power first, for Horner's rule
  }
  return coefficients;
}

function horner(coefficients: readonly number[], x: number): number {
  let sum = 0;
  for (let i = 0; i < coefficients.length; i++) sum = sum * x + (coefficients[i] as number);
  return sum;
}

/** sin(2 pi t). Exact zeros and ones at multiples of a quarter turn. */
export function sineOfTurn(t: number): number {
  // Odd, so that tiny negative arguments aren't lost in the reduction.
  if (t < 0) return -sineOfTurn(-t);
  const quarters = (t - Math.floor(t)) * 4;
  const quadrant = Math.floor(quarters) & 3;
  const fraction = quarters - Math.floor(quarters);
  // Odd quadrants run backwards; the larger half of a quarter is a cosine, which keeps full precision near its ends.
  const mirrored = (quadrant & 1) === 1;
  const value = fraction === 0 ? (mirrored ? 1 : 0) : mirrored ? cosineOfQuarter(fraction) : sineOfQuarter(fraction);
  return quadrant >= 2 ? -value : value;
}

/** cos(2 pi t). */
export function cosineOfTurn(t: number): number {
  const turn = Math.abs(t);
  return sineOfTurn(turn - Math.floor(turn) + 0.25);
}

function sineOfQuarter(fraction: number): number {
  if (fraction > 0.5) return cosineOfQuarter(1 - fraction);
  const a = fraction * HALF_PI;
  return a * horner(SINE, a * a);
}

function cosineOfQuarter(fraction: number): number {
  if (fraction > 0.5) return sineOfQuarter(1 - fraction);
  const a = fraction * HALF_PI;
  return horner(COSINE, a * a);
}
