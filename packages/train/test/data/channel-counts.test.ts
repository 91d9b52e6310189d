/** Which counts of channels an update sees: the four rules, what is refused, and where batches go on. */
import { Tensor } from "@dcae/core/graph";
import { expect, test } from "vitest";
import { type ChannelsConfig, channelsSchema } from "../../src/configs/schema.js";
import {
  batchesWithCounts,
  CHANNEL_MASK,
  channelMask,
  checkCounts,
  describeCounts,
  drawCounts,
} from "../../src/data/channel-counts.js";
import type { TrainingBatches } from "../../src/data/training-batches.js";

const COUNTS = [2, 4, 6, 8];
const rule = (draw: number, always: ChannelsConfig["always"]): ChannelsConfig => ({ counts: COUNTS, draw, always });
const updates = (channels: ChannelsConfig, seed = 0) =>
  Array.from({ length: 400 }, (_, update) => drawCounts(channels, seed, update));
/** How often each count is drawn, relative to what is expected of uniform draws. */
const frequencies = (draws: readonly number[]) =>
  COUNTS.map((count) => (draws.filter((drawn) => drawn === count).length / draws.length) * COUNTS.length);

test.each([
  { name: "one at random", channels: rule(1, "none"), fixed: [] },
  { name: "n at random", channels: rule(3, "none"), fixed: [] },
  { name: "the largest and n - 1 at random", channels: rule(3, "largest"), fixed: [8] },
  { name: "the smallest, the largest and n - 2 at random", channels: rule(4, "smallest-and-largest"), fixed: [2, 8] },
])("$name", ({ channels, fixed }) => {
  const drawn = updates(channels);
  for (const counts of drawn) {
    expect(counts).toHaveLength(channels.draw);
    expect(counts.slice(0, fixed.length)).toEqual(fixed);
  }
  // Each place among the random ones is uniform over all counts, and follows neither the one before it nor the update before.
  for (let place = fixed.length; place < channels.draw; place++) {
    const here = drawn.map((counts) => counts[place] as number);
    for (const share of frequencies(here)) expect(share).toBeGreaterThan(0.75);
    const repeated = (others: readonly number[]) => here.filter((count, i) => count === others[i]).length / here.length;
    expect(Math.abs(repeated([0, ...here]) - 0.25)).toBeLessThan(0.08);
    if (place > fixed.length) {
      expect(Math.abs(repeated(drawn.map((counts) => counts[place - 1] as number)) - 0.25)).toBeLessThan(0.08);
    }
  }
  expect(updates(channels)).toEqual(drawn);
  if (channels.draw > fixed.length) expect(updates(channels, 1)).not.toEqual(drawn);
});

test("rules that can't be kept are refused", () => {
  const problem = (value: unknown) => JSON.stringify(channelsSchema.safeParse(value).error?.issues ?? []);
  expect(problem({ counts: [2, 4], draw: 2, always: "smallest-and-largest" })).toBe("[]");
  expect(problem({ counts: [4, 2] })).toMatch(/must ascend/);
  expect(problem({ counts: [2, 2] })).toMatch(/must ascend/);
  expect(problem({ counts: [] })).not.toBe("[]");
  expect(problem({ counts: [2, 4], draw: 1, always: "smallest-and-largest" })).toMatch(/at least as many/);
  const check = (latentChannels: number, isAdaptive: boolean) =>
    checkCounts(rule(1, "none"), { latentChannels, isAdaptive, name: "the model", hint: "" });
  expect(() => check(8, false)).toThrow(/the model isn't adaptive/);
  expect(() => check(6, true)).toThrow(/8 of 6 latent channels/);
  check(8, true);
});

test("a mask is 1 for the first channels; counts in words", () => {
  expect([...channelMask(2, 4).data]).toEqual([1, 1, 0, 0]);
  expect(describeCounts(rule(3, "smallest-and-largest"), 8)).toBe(
    "the first 2, 4, 6, 8 of 8 latent channels, per update the smallest, the largest, 1 at random",
  );
});

test("all batches of an update have its counts, each picture counts once, and a position goes on inside of a run", async () => {
  const opened: unknown[] = [];
  const open = async (position: unknown): Promise<TrainingBatches> => {
    opened.push(position);
    let number = (position as number | undefined) ?? 0;
    return {
      next: async () => ({ inputs: { x: Tensor.float32([number]) }, images: 5, position: ++number }),
      close: async () => undefined,
    };
  };
  const channels = rule(3, "largest");
  const options = { latentChannels: 8, accumulate: 2, seed: 4 };
  const read = async (batches: TrainingBatches, length: number) => {
    const rows = [];
    for (let i = 0; i < length; i++) {
      const { inputs, images, position } = await batches.next();
      const mask = inputs[CHANNEL_MASK] as Tensor;
      const count = mask.toFloat32().reduce((sum, value) => sum + value, 0);
      rows.push({ x: Number(inputs.x?.at(0)), count, images, position });
    }
    return rows;
  };
  const all = await read(await batchesWithCounts(open, undefined, channels, options), 4 * 6);
  for (let update = 0; update < 4; update++) {
    const counts = drawCounts(channels, 4, update);
    const rows = all.slice(6 * update, 6 * (update + 1));
    expect(rows.map(({ x }) => x)).toEqual([0, 0, 0, 1, 1, 1].map((x) => x + 2 * update));
    expect(rows.map(({ count }) => count)).toEqual([...counts, ...counts]);
    expect(rows.map(({ images }) => images)).toEqual([5, 0, 0, 5, 0, 0]);
  }
  const saved = JSON.parse(JSON.stringify(all[11]?.position)) as unknown;
  expect(await read(await batchesWithCounts(open, saved, channels, options), 12)).toEqual(all.slice(12));
  expect(opened).toEqual([undefined, 4]);
});
