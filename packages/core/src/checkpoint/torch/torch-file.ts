/**
 * Files of `torch.save` as lazily read weights, without executing what they contain.
 *
 * Two layouts exist: a zip archive (since PyTorch 1.6), and before that four pickles in a row followed by the storages.
 * The tar archives of 2016 are refused.
 */
import { CheckpointError } from "../../errors.js";
import { byteSize } from "../../graph/dtype.js";
import type { ByteSource } from "../byte-source.js";
import { quoted, refuseGitLfsPointer, shownValue } from "../json-text.js";
import type { Weights } from "../weights.js";
import { readZipDirectory, type ZipMember, zipDataOffset } from "../zip-directory.js";
import { type PickleValue, readPickle } from "./pickle.js";
import { PickleEndError } from "./pickle-reader.js";
import { collectTensors, storageOf, TORCH_GLOBALS, type TorchStorage, torchEntries } from "./tensors.js";

/** Pickles of state dicts have 100 bytes per tensor; optimizers of large models reach a few megabytes. */
const MAX_PICKLE_BYTES = 256 * 2 ** 20;
const FIRST_WINDOW = 2 ** 20;
const ZIP_MAGIC = [0x50, 0x4b, 0x03, 0x04];
/** The pickled number 0x1950a86a20f9469cfc6c in protocol 2. */
const LEGACY_MAGIC = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
const LEGACY_PROTOCOL = 1001;

interface Loaded {
  readonly value: PickleValue;
  /** Size of the pickle. */
  readonly bytes: number;
  readonly places: ReadonlyMap<string, number>;
}

/**
 * Opens a file of `torch.save`; `close()` of the result closes `source`, and so does a failure.
 *
 * Tensors of nested dicts are named by the path to them, as in "state_dict.encoder.weight" or "ema.0.9999.fc.weight".
 *
 * @throws CheckpointError when the file is damaged, in the tar layout, a TorchScript program, or holds anything that a
 *   checkpoint of plain tensors doesn't need
 */
export async function openTorch(source: ByteSource): Promise<Weights> {
  try {
    const head = await source.read(0, Math.min(source.size, 512));
    const starts = (magic: readonly number[]) => magic.every((byte, i) => head[i] === byte);
    const storages = new Map<string, TorchStorage>();
    const { value, bytes, places } = starts(ZIP_MAGIC)
      ? await readZipLayout(source, storages)
      : starts(LEGACY_MAGIC)
        ? await readLegacyLayout(source, storages)
        : refuse(source, head);
    const place = (key: string): number => {
      const offset = places.get(key);
      if (offset === undefined) throw new CheckpointError(`${source.name}: storage ${quoted(key)} is missing`);
      return offset;
    };
    const tensors = collectTensors(value, bytes, source.name);
    if (tensors.size === 0) throw new CheckpointError(`${source.name}: holds no tensors`);
    return { source: source.name, entries: torchEntries(source, tensors, place), close: () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}

function refuse({ name }: ByteSource, head: Uint8Array): never {
  refuseGitLfsPointer(head, name);
  const isTar = String.fromCharCode(...head.subarray(257, 262)) === "ustar" || head[0] === 0x73;
  if (isTar) {
    throw new CheckpointError(`${name}: the tar layout of PyTorch before 0.1.10 isn't supported`, {
      hint: "Load it in Python and save it again, best with safetensors.",
    });
  }
  throw new CheckpointError(`${name}: not a file of torch.save`, {
    hint: "Expected a zip archive or a pickle that begins with PyTorch's magic number.",
  });
}

/** Records every storage that the pickle names; all mentions of one key must agree. */
function pickleOptions(source: ByteSource, storages: Map<string, TorchStorage>) {
  return {
    name: source.name,
    globals: TORCH_GLOBALS,
    persistent(id: PickleValue): PickleValue {
      const storage = storageOf(id, source.name);
      const known = storages.get(storage.key);
      if (known !== undefined && known.dtype !== storage.dtype) {
        throw new CheckpointError(`${source.name}: storage ${quoted(storage.key)} has two types`);
      }
      // Old files share runs between storages: the place must hold the longest one.
      const reach = ({ start, length }: TorchStorage) => start + length;
      if (known === undefined || reach(storage) > reach(known)) storages.set(storage.key, storage);
      return storage;
    },
  };
}

async function readZipLayout(source: ByteSource, storages: Map<string, TorchStorage>): Promise<Loaded> {
  const members = await readZipDirectory(source).catch((error: unknown) => {
    throw new CheckpointError(error instanceof Error ? error.message : String(error), { cause: error });
  });
  const pickleName = [...members.keys()].find((name) => /^[^/]+\/data\.pkl$/.test(name) || name === "data.pkl");
  if (pickleName === undefined) throw new CheckpointError(`${source.name}: the archive has no data.pkl`);
  const folder = pickleName.slice(0, -"data.pkl".length);
  if (members.has(`${folder}constants.pkl`)) {
    throw new CheckpointError(`${source.name}: a TorchScript program, not a checkpoint`, {
      hint: "Save the state dict of the module instead.",
    });
  }
  const order = members.get(`${folder}byteorder`);
  if (order !== undefined && (await readText(source, order)) !== "little") {
    throw new CheckpointError(`${source.name}: its numbers aren't little-endian`);
  }
  const pickle = members.get(pickleName) as ZipMember;
  const offset = await storedOffset(source, pickle);
  if (pickle.size > MAX_PICKLE_BYTES) throw new CheckpointError(`${source.name}: its data.pkl is too large`);
  const { value } = readPickle(await source.read(offset, pickle.size), 0, pickleOptions(source, storages));
  const places = new Map<string, number>();
  for (const [key, storage] of storages) {
    const member = members.get(`${folder}data/${key}`);
    if (member === undefined) throw new CheckpointError(`${source.name}: storage ${quoted(key)} is missing`);
    const needed = (storage.start + storage.length) * byteSize(storage.dtype);
    if (member.size < needed) {
      throw new CheckpointError(`${source.name}: storage ${quoted(key)} has ${member.size} bytes, not ${needed}`);
    }
    places.set(key, await storedOffset(source, member));
  }
  return { value, bytes: pickle.size, places };
}

async function storedOffset(source: ByteSource, member: ZipMember): Promise<number> {
  if (member.method !== 0) {
    throw new CheckpointError(`${source.name}: ${quoted(member.name)} is compressed, which torch.save never does`);
  }
  return zipDataOffset(source, member).catch((error: unknown) => {
    throw new CheckpointError(error instanceof Error ? error.message : String(error), { cause: error });
  });
}

async function readText(source: ByteSource, member: ZipMember): Promise<string> {
  const offset = await storedOffset(source, member);
  return String.fromCharCode(...(await source.read(offset, Math.min(member.size, 100))));
}

/** Magic number, protocol version, system info, the object, the list of storage keys; then the storages in that order. */
async function readLegacyLayout(source: ByteSource, storages: Map<string, TorchStorage>): Promise<Loaded> {
  const options = pickleOptions(source, storages);
  const { values, end } = await readLegacyPickles(source, options);
  const [, protocol, system, value, keys] = values;
  if (protocol !== LEGACY_PROTOCOL) {
    throw new CheckpointError(`${source.name}: protocol ${shownValue(protocol)} of torch.save isn't known`);
  }
  if (!(system instanceof Map) || system.get("little_endian") !== true) {
    throw new CheckpointError(`${source.name}: its numbers aren't little-endian`);
  }
  if (!Array.isArray(keys)) throw new CheckpointError(`${source.name}: the list of storages is missing`);
  const places = new Map<string, number>();
  let position = end;
  for (const key of keys) {
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    if (storage === undefined) throw new CheckpointError(`${source.name}: storage ${shownValue(key)} isn't used`);
    const header = await source.read(position, 8);
    const count = Number(new DataView(header.buffer, header.byteOffset, 8).getBigInt64(0, true));
    const needed = storage.start + storage.length;
    if (!Number.isSafeInteger(count) || count < needed) {
      throw new CheckpointError(`${source.name}: storage ${quoted(storage.key)} has ${count} elements, not ${needed}`);
    }
    places.set(storage.key, position + 8);
    position += 8 + count * byteSize(storage.dtype);
  }
  return { value: value as PickleValue, bytes: end, places };
}

/** How long the pickles are shows only while they are read: the window grows until they fit. */
async function readLegacyPickles(
  source: ByteSource,
  options: Parameters<typeof readPickle>[2],
): Promise<{ readonly values: PickleValue[]; readonly end: number }> {
  for (let window = FIRST_WINDOW; ; window *= 8) {
    const length = Math.min(window, source.size, MAX_PICKLE_BYTES);
    const bytes = await source.read(0, length);
    try {
      const values: PickleValue[] = [];
      let end = 0;
      for (let i = 0; i < 5; i++) {
        const pickle = readPickle(bytes, end, options);
        values.push(pickle.value);
        end = pickle.end;
      }
      return { values, end };
    } catch (error) {
      if (!(error instanceof PickleEndError) || length === source.size || length === MAX_PICKLE_BYTES) throw error;
    }
  }
}
