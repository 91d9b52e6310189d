/** Event files byte by byte, metrics that survive a kill, curves, progress. */
import { appendFile, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadSharp } from "@dcae/core/image";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, test } from "vitest";
import { drawCurves, niceTicks, saveCurves } from "../../src/logging/curves.js";
import { crc32c, createEventFile, maskedCrc32c } from "../../src/logging/event-file.js";
import { openMetricsLog, readMetrics } from "../../src/logging/metrics-log.js";
import { createSpeed, formatDuration, formatProgress } from "../../src/logging/progress.js";

const folder = temporaryFolder();
const bytes = (text: string) => new TextEncoder().encode(text);

describe("CRC-32C", () => {
  test("known answers (RFC 3720, appendix B.4)", () => {
    expect(crc32c(bytes("123456789"))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => 31 - i))).toBe(0x113fdb5c);
  });

  test("the mask rotates by 15 bits and adds a constant", () => {
    expect(maskedCrc32c(bytes("123456789"))).toBe((((0xe3069283 >>> 15) | (0xe3069283 << 17)) + 0xa282ead8) >>> 0);
  });
});

/** The records of an event file, their checksums checked. */
function unframe(file: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    expect(file.readUInt32LE(at + 8)).toBe(maskedCrc32c(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(file.readUInt32LE(at + 12 + length)).toBe(maskedCrc32c(data));
    records.push(data);
    at += 16 + length;
  }
  return records;
}

test("an event file has the bytes of the protocol buffers", async () => {
  const events = await createEventFile(join(folder, "events"), 300, () => 1.5);
  await events.scalars(301, { loss: 0.25 });
  await events.picture(301, "grid", { png: Uint8Array.of(1, 2, 3), width: 200, height: 5 });
  await events.close();
  const file = await readFile(events.path);
  expect(file.subarray(0, 8).toString("hex")).toBe("1a00000000000000");
  const time = "09000000000000f83f"; // field 1, double 1.5
  expect(unframe(file).map((record) => record.toString("hex"))).toEqual([
    `${time}1000` + `1a0d${Buffer.from("brain.Event:2").toString("hex")}`,
    `${time}10ad023a020801`,
    `${time}10ad02` + `2a0d0a0b0a04${Buffer.from("loss").toString("hex")}150000803e`,
    `${time}10ad02` +
      `2a160a140a04${Buffer.from("grid").toString("hex")}220c080510c8011803220301 0203`.replace(" ", ""),
  ]);
});

test("every start has an event file of its own", async () => {
  let time = 1_700_000_000;
  for (const step of [0, 10]) await (await createEventFile(join(folder, "two"), step, () => time++)).close();
  expect(await readdir(join(folder, "two"))).toHaveLength(2);
});

test("a log that is resumed forgets later steps and a torn line", async () => {
  const path = join(folder, "metrics.jsonl");
  const log = await openMetricsLog(path, 0);
  for (const step of [1, 2, 3]) await log.append({ step, loss: step / 10, note: "a" });
  await log.append({ step: 4, loss: Number.NaN });
  await log.close();
  expect((await readMetrics(path)).at(-1)).toEqual({ step: 4, loss: "NaN" });
  await appendFile(path, '{"step": 5, "lo');
  const resumed = await openMetricsLog(path, 2);
  await resumed.append({ step: 3, loss: 7 });
  await resumed.close();
  expect(await readFile(path, "utf8")).toBe(
    '{"step":1,"loss":0.1,"note":"a"}\n{"step":2,"loss":0.2,"note":"a"}\n{"step":3,"loss":7}\n',
  );
  expect(await readMetrics(join(folder, "absent.jsonl"))).toEqual([]);
});

describe("curves", () => {
  const rows = Array.from({ length: 1000 }, (_, i) => ({ step: i + 1, time: i, loss: 1 / (i + 1), psnr: i / 50 }));

  test("ticks are round and within the range", () => {
    expect(niceTicks(0, 1)).toEqual([0, 0.5, 1]);
    expect(niceTicks(0.031, 0.178)).toEqual([0.05, 0.1, 0.15]);
    expect(niceTicks(1, 1000)).toEqual([500, 1000]);
    expect(niceTicks(3, 3)).toEqual([3]);
  });

  test("one panel per metric, whose line stays inside", () => {
    const svg = drawCurves(rows, { title: "run <1>" });
    expect(svg).toContain("run &#60;1&#62;");
    expect([...svg.matchAll(/font-weight="600">(loss|psnr|time|step)</g)].map((match) => match[1])).toEqual([
      "loss",
      "psnr",
    ]);
    const lines = [...svg.matchAll(/polyline points="([^"]*)"/g)].map((match) => match[1]!.split(" "));
    expect(lines).toHaveLength(2);
    for (const points of lines) {
      expect(points.length).toBeLessThan(300);
      for (const [x, y] of points.map((point) => point.split(",").map(Number) as [number, number])) {
        expect(x >= 58 && x <= 328 && y >= 30 && y <= 176).toBe(true);
      }
    }
    expect(drawCurves([])).toContain("no metrics yet");
    expect(drawCurves([{ step: 3, loss: 1 }])).toContain("<circle");
  });

  test("are rendered to a picture that isn't blank", async () => {
    const log = await openMetricsLog(join(folder, "curve.jsonl"), 0);
    for (const row of rows.slice(0, 20)) await log.append(row);
    await log.close();
    await saveCurves(join(folder, "curve.jsonl"), join(folder, "curves"));
    const sharp = await loadSharp();
    const { channels } = await sharp(join(folder, "curves.png")).stats();
    expect(channels[0]!.min).toBeLessThan(100);
    expect(channels[0]!.max).toBe(255);
  });
});

describe("progress", () => {
  const state = { step: 25, steps: 100, imagesPerSecond: 12.3456, secondsLeft: 3725, metrics: { loss: 0.123456 } };

  test("says how far, how fast, how long and how well", () => {
    expect(formatProgress("phase 1", state)).toBe(
      "phase 1  [#####---------------]  25/100  12.35 images/s  1h 02m left  loss 0.1235",
    );
    expect(formatProgress("phase 1", { ...state, waitingForData: 0.04 })).not.toContain("waiting");
    expect(formatProgress("phase 1", { ...state, waitingForData: 0.246 })).toBe(
      "phase 1  [#####---------------]  25/100  12.35 images/s  25 % waiting for data  1h 02m left  loss 0.1235",
    );
    expect([5, 65, 90061, 0].map(formatDuration)).toEqual(["5s", "1m 05s", "1d 01h", "0s"]);
  });

  test("speed counts what lies between the first and the last tick", () => {
    let time = 0;
    const speed = createSpeed(() => time);
    expect(speed.imagesPerSecond).toBeNull();
    for (let i = 0; i < 100; i++) {
      time += 500;
      speed.tick(4, 125);
    }
    expect([speed.imagesPerSecond, speed.secondsPerStep, speed.waitingForData]).toEqual([8, 0.5, 0.25]);
  });
});
