/**
 * Whether an embedded ICC profile is sRGB itself, judged by the colors it describes.
 *
 * Most profiles in the wild are one of the many versions of sRGB. Converting from sRGB to sRGB would change nothing but the last bit
 * of some pixels, and pictures would then differ from what other programs read; so those are recognized. Names say nothing:
 * "GIMP built-in Linear sRGB" isn't sRGB, and minimal profiles are called "c2". What counts is what a color management system
 * computes with: primaries and curves. Profiles by tables are taken for others.
 * Source: ICC.1:2022, sections 7.2 (header), 7.3 (tag table), 9.2, 10.6 (curveType), 10.18 (parametricCurveType), 10.31 (XYZType);
 * IEC 61966-2-1 (sRGB).
 */

const HEADER_BYTES = 128;
const TAG_BYTES = 12;
const MAX_TAGS = 200;
/** Primaries of sRGB adapted to D50, as profiles store them: X, Y, Z. */
const PRIMARIES: Readonly<Record<string, readonly [number, number, number]>> = {
  rXYZ: [0.4361, 0.2225, 0.0139],
  gXYZ: [0.3851, 0.7169, 0.0971],
  bXYZ: [0.1431, 0.0606, 0.7141],
};
/** Versions differ by rounding and by how they adapt; the primaries of other spaces lie ten times as far away. */
const PRIMARY_TOLERANCE = 0.004;
/** In levels of 255: curves with few points are off by about one, a gamma of 2.2 by six. */
const CURVE_TOLERANCE = 2;

type Curve = (encoded: number) => number;

function signature(view: DataView, at: number): string {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

/** The tags of a profile by name; undefined when it is damaged. */
function readTags(view: DataView): Map<string, DataView> | undefined {
  if (view.byteLength < HEADER_BYTES + 4) return undefined;
  const tags = new Map<string, DataView>();
  const count = Math.min(view.getUint32(HEADER_BYTES), MAX_TAGS);
  for (let tag = 0; tag < count; tag++) {
    const entry = HEADER_BYTES + 4 + tag * TAG_BYTES;
    if (entry + TAG_BYTES > view.byteLength) return undefined;
    const start = view.getUint32(entry + 4);
    const length = view.getUint32(entry + 8);
    if (start + length > view.byteLength || length < 8) return undefined;
    tags.set(signature(view, entry), new DataView(view.buffer, view.byteOffset + start, length));
  }
  return tags;
}

/** A signed number with 16 bits behind the point. */
const fixed = (view: DataView, at: number) => view.getInt32(at) / 65536;

/** A tone curve from encoded to linear light, both in [0, 1]; undefined when it can't be read. */
function readCurve(tag: DataView | undefined): Curve | undefined {
  if (tag === undefined || tag.byteLength < 12) return undefined;
  const type = signature(tag, 0);
  if (type === "curv") return readSampledCurve(tag);
  return type === "para" ? readParametricCurve(tag) : undefined;
}

function readSampledCurve(tag: DataView): Curve | undefined {
  const count = tag.getUint32(8);
  if (count === 0) return (x) => x;
  if (12 + 2 * count > tag.byteLength) return undefined;
  if (count === 1) {
    const gamma = tag.getUint16(12) / 256;
    return (x) => x ** gamma;
  }
  const at = (i: number) => tag.getUint16(12 + 2 * i) / 65535;
  return (x) => {
    const place = x * (count - 1);
    const i = Math.min(Math.floor(place), count - 2);
    return at(i) + (place - i) * (at(i + 1) - at(i));
  };
}

/** Parameters per kind of function. */
const PARAMETERS = [1, 3, 4, 5, 7];

function readParametricCurve(tag: DataView): Curve | undefined {
  const kind = tag.getUint16(8);
  const count = PARAMETERS[kind];
  if (count === undefined || 12 + 4 * count > tag.byteLength) return undefined;
  const [g = 1, a = 1, b = 0, c = 0, d = 0, e = 0, f = 0] = Array.from({ length: count }, (_, i) =>
    fixed(tag, 12 + 4 * i),
  );
  const power = (x: number) => Math.max(0, a * x + b) ** g;
  switch (kind) {
    case 0:
      return (x) => x ** g;
    case 1:
      return (x) => (x >= -b / a ? power(x) : 0);
    case 2:
      return (x) => (x >= -b / a ? power(x) : 0) + c;
    case 3:
      return (x) => (x >= d ? power(x) : c * x);
    default:
      return (x) => (x >= d ? power(x) + e : c * x + f);
  }
}

/** The inverse of sRGB's curve. */
function encodeSrgb(light: number): number {
  return light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
}

function isSrgbCurve(curve: Curve | undefined): boolean {
  if (curve === undefined) return false;
  for (let level = 0; level <= 255; level++) {
    // Written so that NaN is no match.
    if (!(Math.abs(255 * encodeSrgb(curve(level / 255)) - level) <= CURVE_TOLERANCE)) return false;
  }
  return true;
}

function isSrgbPrimary(tag: DataView | undefined, expected: readonly [number, number, number]): boolean {
  if (tag === undefined || tag.byteLength < 20 || signature(tag, 0) !== "XYZ ") return false;
  return expected.every((value, i) => Math.abs(fixed(tag, 8 + 4 * i) - value) <= PRIMARY_TOLERANCE);
}

/** Whether the colors of a profile are those of sRGB (for grey: whether its levels are). Never throws. */
export function isSrgbProfile(profile: Uint8Array): boolean {
  const view = new DataView(profile.buffer, profile.byteOffset, profile.byteLength);
  const tags = readTags(view);
  // Tables for the perceptual rendering win over primaries and curves.
  if (tags === undefined || tags.has("A2B0") || signature(view, 20) !== "XYZ ") return false;
  const space = signature(view, 16);
  if (space === "GRAY") return isSrgbCurve(readCurve(tags.get("kTRC")));
  if (space !== "RGB ") return false;
  const primaries = Object.entries(PRIMARIES).every(([name, expected]) => isSrgbPrimary(tags.get(name), expected));
  return primaries && ["rTRC", "gTRC", "bTRC"].every((name) => isSrgbCurve(readCurve(tags.get(name))));
}
