/** Safetensors files made by hand, so that they can lie. */
import { bytesSource } from "../../src/checkpoint/byte-source.js";
import { openSafetensors, type SafetensorsFile } from "../../src/checkpoint/safetensors/reader.js";

/** Length field, JSON text and data. `claimedLength` replaces the true length of the JSON. */
export function rawSafetensors(json: unknown, data: Uint8Array | number = 0, claimedLength?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof json === "string" ? json : JSON.stringify(json));
  const body = typeof data === "number" ? new Uint8Array(data) : data;
  const file = new Uint8Array(8 + text.length + body.length);
  new DataView(file.buffer).setBigUint64(0, claimedLength ?? BigInt(text.length), true);
  file.set(text, 8);
  file.set(body, 8 + text.length);
  return file;
}

export function openBytes(bytes: Uint8Array): Promise<SafetensorsFile> {
  return openSafetensors(bytesSource(bytes, "test.safetensors"));
}
