/** Sums, gathered values and errors of ranks in one process. */

import { createRanks, onRanks } from "@dcae/test-support/ranks";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createRandom } from "../../src/graph/index.js";
import { type Communicator, onFirst, RankError, requireSame, rowsPerRank, together } from "../../src/internal/index.js";

test("sums have the same bits on all ranks: those of float64 in the order of ranks", async () => {
  const cases = fc.record({ ranks: fc.integer({ min: 1, max: 5 }), length: fc.integer({ min: 0, max: 9000 }) });
  await fc.assert(
    fc.asyncProperty(cases, fc.boolean(), async ({ ranks, length }, isDouble) => {
      const own = Array.from({ length: ranks }, (_, rank) =>
        createRandom(rank, "sums").normal(new Float32Array(length)),
      );
      const expected = new Float64Array(length);
      for (const data of own) for (const [i, value] of data.entries()) expected[i] = (expected[i] as number) + value;
      const results = await onRanks(ranks, async (communicator) => {
        const data = isDouble ? Float64Array.from(own[communicator.rank]!) : own[communicator.rank]!.slice();
        expect(await communicator.sum(data)).toBe(-1);
        return data;
      });
      for (const result of results) expect(result).toEqual(isDouble ? expected : Float32Array.from(expected));
    }),
    { numRuns: 20, seed: 1 },
  );
});

test.each([2, 3])(
  "%i blocks are summed for one rank each, with the bits of sums for all, and shared; who gave a number that isn't finite is told",
  async (size) => {
    // More than goes at once.
    const length = 400_000;
    const own = [0, 1, 2].map((rank) => Float32Array.from({ length: 3 * length }, (_, i) => (i % 1009) * (rank + 0.1)));
    const results = await onRanks(size, async (ranks) => {
      const terms = own[ranks.rank]!.slice(0, ranks.size * length);
      const [all, data] = [terms.slice(), terms.slice()];
      expect(await ranks.sumBlocks(all)).toEqual([]);
      await ranks.shareBlocks(all);
      await ranks.sum(data);
      expect(Buffer.from(all.buffer).equals(Buffer.from(data.buffer))).toBe(true);
      const wrong = new Float32Array(5 * ranks.size);
      if (ranks.rank === ranks.size - 1) wrong[5 + 4] = Number.POSITIVE_INFINITY;
      return ranks.sumBlocks(wrong);
    });
    expect(results).toEqual(Array.from({ length: size }, (_, rank) => (rank === 1 ? [size - 1] : [])));
  },
);

test("what is started first is done first, and the first element that isn't finite is told", async () => {
  const results = await onRanks(3, async (ranks) => {
    const [a, b] = [new Float32Array(9).fill(ranks.rank), new Float32Array(9).fill(1)];
    if (ranks.rank === 1) b[4] = Number.NaN;
    const [first, second, names] = await Promise.all([ranks.sum(a), ranks.sum(b), ranks.gather("x", ranks.rank)]);
    return { first, second, names, a: a[0], finite: b.map((value) => Number(Number.isFinite(value))) };
  });
  expect(results.map(({ first }) => first)).toEqual([-1, -1, -1]);
  expect(results.map(({ second }) => second)).toEqual([-1, 4, -1]);
  expect(results.map(({ a }) => a)).toEqual([3, 3, 3]);
  expect(results[0]?.names).toEqual([0, 1, 2]);
  expect([...(results[2]?.finite ?? [])]).toEqual([1, 1, 1, 1, 0, 1, 1, 1, 1]);
});

test("values of any length are gathered, and bytes of the first rank are everybody's", async () => {
  await onRanks(2, async (ranks) => {
    const text = "ä".repeat(ranks.rank === 0 ? 3 : 2000);
    expect(await ranks.gather("text", text)).toEqual(["äää", "ä".repeat(2000)]);
    const bytes = new Uint8Array(5).fill(ranks.rank + 1);
    await ranks.broadcast(bytes);
    expect([...bytes]).toEqual([1, 1, 1, 1, 1]);
  });
});

const messageOf = (work: Promise<unknown>) =>
  work.then(
    () => "no error",
    (error: Error) => {
      expect(error).toBeInstanceOf(RankError);
      return error.message;
    },
  );

test("what fails on one rank fails on all, with its name; what fails on all alike, without", async () => {
  const fails = (on: (rank: number) => boolean) =>
    onRanks(3, (ranks) =>
      messageOf(
        together(ranks, "reading", async () => {
          if (on(ranks.rank)) throw new Error("no such file");
        }),
      ),
    );
  expect(await fails((rank) => rank === 1)).toEqual(Array(3).fill("rank 1: unexpected error: no such file"));
  expect(await fails(() => true)).toEqual(Array(3).fill("unexpected error: no such file"));
  const first = await onRanks(2, (ranks) =>
    messageOf(
      onFirst(ranks, "saving", async () => {
        throw new Error("disk full");
      }),
    ),
  );
  expect(first).toEqual(Array(2).fill("rank 0: unexpected error: disk full"));
});

test("the first rank's result is everybody's; without ranks, everything is done here", async () => {
  expect(await onRanks(2, (ranks) => onFirst(ranks, "asking", async () => ({ rank: ranks.rank })))).toEqual([
    { rank: 0 },
    { rank: 0 },
  ]);
  expect(await onFirst(undefined, "asking", async () => 7)).toBe(7);
  await expect(together(undefined, "x", async () => Promise.reject(new TypeError("own")))).rejects.toThrow(TypeError);
});

test("differences and other places in the work are named", async () => {
  const compare = (facts: (ranks: Communicator) => Record<string, string>) =>
    onRanks(2, (ranks) => messageOf(requireSame(ranks, facts(ranks))));
  expect(await compare(({ rank }) => ({ version: `1.${rank}`, data: "x" }))).toEqual(
    Array(2).fill("rank 1: has another version than rank 0: (1.1) and (1.0)"),
  );
  expect(await compare(() => ({ version: "1" }))).toEqual(Array(2).fill("no error"));
  const lost = await onRanks(2, (ranks) => messageOf(ranks.gather(ranks.rank === 0 ? "here" : "there", 1)));
  expect(lost[0]).toMatch(/rank 1: is at "there", rank 0 at "here"/);
});

test("a rank that aborts ends the waiting of the others", async () => {
  const [first, second] = createRanks(2) as [Communicator, Communicator];
  const waiting = messageOf(first.gather("x", 1));
  await expect(second.abort(new Error("out of memory"))).rejects.toThrow("rank 1: out of memory");
  expect(await waiting).toBe("rank 1: out of memory");
});

test("batches are divided, or it is said that they can't be", () => {
  expect(rowsPerRank(8, 4, "phase1")).toBe(2);
  expect(() => rowsPerRank(8, 3, "phase1")).toThrow("phase1: a batch of 8 can't be divided among 3 ranks");
});
