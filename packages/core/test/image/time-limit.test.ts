/** Pictures that take forever, and many at once. */
import { describe, expect, test } from "vitest";
import { DataError } from "../../src/errors.js";
import { decodeImage } from "../../src/image/decode-image.node.js";
import { createImage } from "../../src/image/image.js";
import { encodeImage } from "../../src/image/save-image.node.js";
import { limitWork, withinTime } from "../../src/image/sharp.node.js";

const svg = (content: string, size = 4) =>
  new TextEncoder().encode(`<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}">${content}</svg>`);

test("an SVG that isn't drawn in time is ended, and others go on", async () => {
  // Hours of noise: four billion values of a slow function.
  const endless = svg(
    '<filter id="f"><feTurbulence baseFrequency="0.9" numOctaves="255"/></filter><rect width="100%" height="100%" filter="url(#f)"/>',
    4000,
  );
  const red = svg('<rect width="4" height="4" fill="#f00"/>');
  const [slow, fast] = await Promise.allSettled([decodeImage(endless, { maxSeconds: 1 }), decodeImage(red)]);
  expect(slow).toMatchObject({ status: "rejected", reason: expect.any(DataError) });
  expect((slow as PromiseRejectedResult).reason.message).toBe("image data: isn't decoded within 1 seconds");
  expect(fast).toMatchObject({ status: "fulfilled", value: { width: 4, height: 4 } });
}, 60_000);

test("a damaged SVG, and one that is too large, are refused by the one who draws", async () => {
  await expect(decodeImage(svg("<g>"))).rejects.toThrow(/image data: can't be read as a picture: /);
  await expect(decodeImage(svg("", 3000), { maxPixels: 1e6 })).rejects.toThrow(
    /3000x3000 has more pixels than the limit/,
  );
  await expect(decodeImage(Uint8Array.of(0x1f, 0x8b, 8, 0, 0))).rejects.toThrow(DataError);
});

test("work that doesn't end fails in time, other work gives its result", async () => {
  await expect(withinTime(1, new Promise(() => {}))).rejects.toThrow(/isn't decoded within 1 seconds/);
  expect(await withinTime(1, Promise.resolve(5))).toBe(5);
});

describe("a bounded amount of work at once", () => {
  /** Runs jobs of these bytes and says how much there was at most, and in which order they began. */
  async function peaks(limits: { jobs: number; bytes: number }, sizes: readonly number[]) {
    const limit = limitWork(limits);
    let [jobs, bytes, mostJobs, mostBytes] = [0, 0, 0, 0];
    const begun: number[] = [];
    const run = (size: number, i: number) =>
      limit(size, async () => {
        begun.push(i);
        jobs += 1;
        bytes += size;
        mostJobs = Math.max(mostJobs, jobs);
        if (jobs > 1) mostBytes = Math.max(mostBytes, bytes);
        await new Promise((resolve) => setImmediate(resolve));
        jobs -= 1;
        bytes -= size;
        if (i === 3) throw new Error("one that fails");
      });
    const outcomes = await Promise.allSettled(sizes.map(run));
    return { mostJobs, mostBytes, begun, failed: outcomes.filter(({ status }) => status === "rejected").length };
  }

  test("jobs and bytes; a larger job goes alone, all in their order", async () => {
    const sizes = [4, 4, 4, 1, 25, 3, 3, 3, 3, 3, 3];
    const result = await peaks({ jobs: 3, bytes: 10 }, sizes);
    expect(result).toEqual({ mostJobs: 3, mostBytes: 9, begun: sizes.map((_, i) => i), failed: 1 });
  });

  test("files are read when their turn comes, not all at once", async () => {
    const bytes = await encodeImage(createImage(8, 8, [1, 2, 3]), "png");
    let [reading, most] = [0, 0];
    const source = (i: number) => ({
      name: `member ${i}`,
      // What an archive may claim: more than half of what is allowed at once.
      size: 2 ** 27 + 1,
      async read() {
        reading += 1;
        most = Math.max(most, reading);
        await new Promise((resolve) => setImmediate(resolve));
        reading -= 1;
        return bytes;
      },
    });
    const images = await Promise.all(Array.from({ length: 12 }, (_, i) => decodeImage(source(i))));
    expect([images.length, most]).toEqual([12, 1]);
    const none = { ...source(0), read: async () => Uint8Array.of(1) };
    await expect(decodeImage(none)).rejects.toThrow(/^member 0: can't be read as a picture: not a JPEG/);
    await expect(decodeImage({ ...none, size: 2 ** 30 + 1 })).rejects.toThrow(/^member 0: .*too large for a picture/);
  });
});
