/** Tar archives in memory. */

const encode = (text: string) => new TextEncoder().encode(text);

/**
 * A header with its checksum, and content padded to blocks.
 *
 * @param size what the header says, if that isn't the truth
 */
export function tarMember(name: string, content: string | Uint8Array, type = "0", size?: number): Uint8Array {
  const bytes = typeof content === "string" ? encode(content) : content;
  const out = new Uint8Array(512 + Math.ceil(bytes.length / 512) * 512);
  const put = (text: string, at: number) => out.set(encode(text), at);
  put(name, 0);
  put((size ?? bytes.length).toString(8).padStart(11, "0"), 124);
  put(type, 156);
  put("ustar\u000000", 257);
  out.fill(32, 148, 156);
  const sum = out.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  out.set(bytes, 512);
  return out;
}

/** Members and the two empty blocks at the end. */
export function tarArchive(...members: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([...members, new Uint8Array(1024)]);
}
