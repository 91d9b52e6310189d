/**
 * Whether an embedded ICC profile is sRGB itself.
 *
 * Most profiles in the wild are sRGB. Converting those from sRGB to sRGB would change nothing but the last bit of some
 * pixels, and pictures would then differ from what other programs read; so they are recognized by their name.
 * Source: ICC.1:2022, sections 7.2 (header), 7.3 (tag table), 10.15 (multiLocalizedUnicodeType), and ICC.1:2001-04
 * section 6.5.17 (textDescriptionType).
 */

const HEADER_BYTES = 128;
const TAG_BYTES = 12;
const MAX_TAGS = 200;
/** "desc" */
const DESCRIPTION_TAG = 0x64657363;
/** "mluc" */
const UNICODE_TYPE = 0x6d6c7563;

/** The name of a profile, or undefined when it has none that can be read. Never throws. */
export function iccDescription(profile: Uint8Array): string | undefined {
  const view = new DataView(profile.buffer, profile.byteOffset, profile.byteLength);
  if (view.byteLength < HEADER_BYTES + 4) return undefined;
  const tags = Math.min(view.getUint32(HEADER_BYTES), MAX_TAGS);
  for (let tag = 0; tag < tags; tag++) {
    const entry = HEADER_BYTES + 4 + tag * TAG_BYTES;
    if (entry + TAG_BYTES > view.byteLength) return undefined;
    if (view.getUint32(entry) !== DESCRIPTION_TAG) continue;
    const start = view.getUint32(entry + 4);
    const end = start + view.getUint32(entry + 8);
    if (end > view.byteLength || end - start < 12) return undefined;
    return readText(new DataView(profile.buffer, profile.byteOffset + start, end - start));
  }
  return undefined;
}

function readText(tag: DataView): string | undefined {
  const isUnicode = tag.getUint32(0) === UNICODE_TYPE;
  if (isUnicode && tag.byteLength < 28) return undefined;
  // The first language of a multi-language text, or the ASCII part of an old description.
  const start = isUnicode ? tag.getUint32(24) : 12;
  const length = isUnicode ? tag.getUint32(20) : tag.getUint32(8);
  if (start + length > tag.byteLength) return undefined;
  const bytes = new Uint8Array(tag.buffer, tag.byteOffset + start, length);
  let text = "";
  for (let i = isUnicode ? 1 : 0; i < bytes.length; i += isUnicode ? 2 : 1) {
    const code = bytes[i] as number;
    if (code !== 0) text += String.fromCharCode(code);
  }
  return text;
}

/** Whether the profile is one of the many versions of sRGB ("c2" is a widespread minimal one). */
export function isSrgbProfile(profile: Uint8Array): boolean {
  const name = iccDescription(profile);
  return name !== undefined && /\bsRGB\b|^c2$|^uRGB$/i.test(name);
}
