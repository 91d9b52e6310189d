import fc from "fast-check";
import { expect, it } from "vitest";
import { bytesSource } from "../../src/checkpoint/byte-source.js";
import { openSafetensors } from "../../src/checkpoint/safetensors/reader.js";
import { encodeSafetensors, tensorEntries } from "../../src/checkpoint/safetensors/writer.js";
import { tensorFromBytes } from "../../src/checkpoint/weights.js";
import { byteSize, DTYPES } from "../../src/graph/dtype.js";
import { sizeOf, type Tensor } from "../../src/graph/tensor.js";

const tensors: fc.Arbitrary<Tensor> = fc
  .record({ dtype: fc.constantFrom(...DTYPES), shape: fc.array(fc.nat(4), { maxLength: 4 }) })
  .chain(({ dtype, shape }) => {
    const length = sizeOf(shape) * byteSize(dtype);
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((bytes) => tensorFromBytes(dtype, shape, bytes) as Tensor);
  });
const names = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom("__proto__", "1", "0", "a\u0000b"));
const checkpoints = fc
  .uniqueArray(fc.tuple(names, tensors), { selector: ([name]) => name, maxLength: 6 })
  .filter((list) => list.every(([name]) => name !== "__metadata__"));
const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 });

it("what is written is read back bit by bit, wherever the file starts in memory", async () => {
  await fc.assert(
    fc.asyncProperty(checkpoints, metadata, fc.nat(7), async (list, notes, shift) => {
      const bytes = await encodeSafetensors(tensorEntries(list), { metadata: notes });
      expect(new DataView(bytes.buffer).getBigUint64(0, true) % 8n).toBe(0n);
      const moved = new Uint8Array(bytes.length + shift);
      moved.set(bytes, shift);
      const file = await openSafetensors(bytesSource(moved.subarray(shift)));
      expect(file.entries.size).toBe(list.length);
      expect(Object.fromEntries(file.metadata)).toEqual({ ...notes });
      for (const [name, tensor] of list) {
        const back = await file.entries.get(name)?.read();
        expect(back?.dtype).toBe(tensor.dtype);
        expect(back?.shape).toEqual(tensor.shape);
        expect(back?.bytes).toEqual(tensor.bytes);
      }
    }),
    { seed: 44, numRuns: 300 },
  );
});

it("the bytes don't depend on the order of the entries", async () => {
  const shuffled = checkpoints.chain((list) =>
    fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
  );
  await fc.assert(
    fc.asyncProperty(shuffled, async ([list, other]) => {
      const [a, b] = [await encodeSafetensors(tensorEntries(list)), await encodeSafetensors(tensorEntries(other))];
      expect(Buffer.compare(a, b)).toBe(0);
    }),
    { seed: 45, numRuns: 200 },
  );
});
