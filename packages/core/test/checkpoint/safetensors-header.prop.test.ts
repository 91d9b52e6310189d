import fc from "fast-check";
import { expect, it } from "vitest";
import { encodeSafetensors, tensorEntries } from "../../src/checkpoint/safetensors/writer.js";
import { CheckpointError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";
import { openBytes, rawSafetensors } from "../support/raw-safetensors.js";

const seed = { seed: 81, numRuns: 1500 };

/** Opens and reads everything. Whatever the bytes are, the only failure allowed is a CheckpointError of one line. */
async function readAll(bytes: Uint8Array): Promise<void> {
  try {
    const file = await openBytes(bytes);
    let total = 0;
    for (const entry of file.entries.values()) total += (await entry.read()).byteLength;
    // No header can make the reader hand out more than the file holds.
    expect(total).toBeLessThanOrEqual(bytes.length);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    expect(error.message).not.toMatch(/[\n\r]/);
    expect(error.message.length).toBeLessThan(600);
  }
}

it("random bytes", async () => {
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), readAll), seed);
});

it("random text behind a right length", async () => {
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.json().map((json) => `{"a":${json}}`),
  );
  await fc.assert(
    fc.asyncProperty(text, fc.nat(40), (json, data) => readAll(rawSafetensors(json, data))),
    seed,
  );
});

it("descriptions of the right form with arbitrary values", async () => {
  const size = fc.oneof(
    fc.nat(20),
    fc.integer(),
    fc.double(),
    fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 - 1, 1e300, -0, "4", null, true),
  );
  const description = fc.record(
    {
      dtype: fc.oneof(
        fc.constantFrom("F32", "BF16", "F8_E4M3", "I64", "BOOL", "U8", "F4", "constructor"),
        fc.jsonValue(),
      ),
      shape: fc.oneof(fc.array(size, { maxLength: 4 }), fc.jsonValue()),
      data_offsets: fc.oneof(fc.array(size, { minLength: 2, maxLength: 2 }), fc.jsonValue()),
    },
    { requiredKeys: ["dtype", "shape"] },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.string(), fc.oneof({ weight: 5, arbitrary: description }, fc.jsonValue()), { maxKeys: 4 }),
      fc.nat(64),
      (header, data) => readAll(rawSafetensors(header, data)),
    ),
    seed,
  );
});

it("valid files with bytes changed, removed and inserted", async () => {
  const valid = await encodeSafetensors(
    tensorEntries([
      [
        "encoder.weight",
        Tensor.from([
          [1, 2],
          [3, 4],
        ]),
      ],
      ["encoder.bias", Tensor.from([1, 2, 3]).cast("bfloat16")],
      ["steps", new Tensor("int64", BigInt64Array.of(7n), [])],
    ]),
  );
  const edit = fc.record({
    position: fc.nat(valid.length),
    removed: fc.nat(8),
    inserted: fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc
        .constantFrom("9", "-", "e9", '"', "{", "}", "[", ",", "\\", "null", "00")
        .map((text) => new TextEncoder().encode(text)),
    ),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      let bytes = Array.from(valid);
      for (const { position, removed, inserted } of edits) {
        bytes = [...bytes.slice(0, position), ...inserted, ...bytes.slice(position + removed)];
      }
      await readAll(Uint8Array.from(bytes));
    }),
    seed,
  );
});

it("every truncation of a valid file is refused", async () => {
  const valid = await encodeSafetensors(tensorEntries([["a", Tensor.from([1, 2, 3])]]));
  for (let length = 0; length < valid.length; length++) {
    await expect(openBytes(valid.subarray(0, length)), `${length} bytes`).rejects.toThrow(CheckpointError);
  }
});
