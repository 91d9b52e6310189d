import { describe, expect, test } from "vitest";
import { GUIDANCE_GRID, searchGuidance } from "../../src/protocols/search-guidance.js";

describe("the guidance scale of the smallest distance", () => {
  test("the published grid", () => {
    expect(GUIDANCE_GRID).toEqual([
      ...[1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2],
      ...[2.2, 2.4, 2.6, 2.8, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10],
    ]);
  });

  test.each(GUIDANCE_GRID)("is found wherever it is: %d", async (minimum) => {
    const asked: number[] = [];
    const { best, tried } = await searchGuidance(async (scale) => {
      asked.push(scale);
      // Steep on one side, as FID is.
      return scale < minimum ? 3 * (minimum - scale) + 2 : scale - minimum + 2;
    });
    expect(best).toBe(minimum);
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked.length).toBeLessThanOrEqual(14);
    expect(tried.map(({ scale }) => scale)).toEqual([...asked].sort((a, b) => a - b));
    expect(tried.find(({ scale }) => scale === minimum)?.distance).toBe(2);
  });

  test("short grids are tried whole; the smaller of two equal scales is taken", async () => {
    expect(await searchGuidance(async () => 4, [1, 2])).toEqual({
      best: 1,
      tried: [
        { scale: 1, distance: 4 },
        { scale: 2, distance: 4 },
      ],
    });
    expect((await searchGuidance(async () => 4, [3])).best).toBe(3);
  });

  test("no grid, and no number", async () => {
    await expect(searchGuidance(async () => 1, [])).rejects.toThrow(/ascending/);
    await expect(searchGuidance(async () => 1, [2, 1])).rejects.toThrow(/ascending numbers of at least 0, got 2, 1/);
    await expect(searchGuidance(async () => Number.NaN, [2])).rejects.toThrow("guidance 2: its distance is NaN");
  });
});
