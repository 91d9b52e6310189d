/**
 * Curves of a run as one SVG: a panel per metric, small multiples with a shared axis of steps. Drawn here, because libraries of charts
 * need a document to draw in, or bring a whole grammar of graphics.
 */

import { writeFileAtomic } from "@dcae/core/checkpoint";
import { loadSharp } from "@dcae/core/image";
import { type MetricsRow, readMetrics } from "./metrics-log.js";

export interface CurvesOptions {
  /** Metrics to draw, in this order. Default: all numbers of the rows but `step` and `time`. */
  readonly metrics?: readonly string[] | undefined;
  readonly title?: string | undefined;
  /** Panels per row. Default 3. */
  readonly columns?: number;
}

/** Sides in pixels; right of the axis there is room for half of its last number. */
const PANEL = { width: 340, height: 210, left: 58, right: 20, top: 30, bottom: 34 } as const;
const TITLE_HEIGHT = 34;
/** More points than a panel has pixels show nothing more: the mean of each column of pixels is drawn, over its range. */
const MAX_POINTS = PANEL.width - PANEL.left - PANEL.right;
const NOT_METRICS = new Set(["step", "time"]);
const INK = { text: "#334", axis: "#99a", grid: "#e6e8ee", line: "#1f5fbf", band: "#b9d0f0" } as const;

interface Point {
  readonly x: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
}

const escapeXml = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const round = (value: number) => Number(value.toFixed(2));

/** At most `ticks` round numbers (1, 2 or 5 times a power of ten apart) in [low, high]. */
export function niceTicks(low: number, high: number, ticks = 4): number[] {
  const range = high - low;
  if (!(range > 0)) return [low];
  const raw = range / ticks;
  const power = 10 ** Math.floor(Math.log10(raw));
  const distance = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw) as number;
  const first = Math.ceil(low / distance - 1e-9);
  const last = Math.floor(high / distance + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * distance).toPrecision(12)));
}

function tickText(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(4))}k`;
  return size < 1e-3 ? value.toExponential(1).replace(".0e", "e") : String(Number(value.toPrecision(4)));
}

/** Points of one metric, at most one per column of pixels. */
function thin(points: readonly (readonly [x: number, y: number])[]): Point[] {
  const size = Math.max(1, Math.ceil(points.length / MAX_POINTS));
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const group = points.slice(i * size, (i + 1) * size);
    const ys = group.map(([, y]) => y);
    return {
      x: group.reduce((sum, [x]) => sum + x, 0) / group.length,
      y: ys.reduce((sum, y) => sum + y, 0) / group.length,
      low: Math.min(...ys),
      high: Math.max(...ys),
    };
  });
}

function panel(name: string, rows: readonly MetricsRow[], steps: readonly [number, number]): string {
  const points = rows.flatMap((row) => {
    const value = row[name];
    return typeof value === "number" && Number.isFinite(value) ? [[row.step, value] as const] : [];
  });
  const thinned = thin(points);
  const low = thinned.reduce((least, point) => Math.min(least, point.low), Number.POSITIVE_INFINITY);
  const high = thinned.reduce((most, point) => Math.max(most, point.high), Number.NEGATIVE_INFINITY);
  const margin = high > low ? (high - low) * 0.05 : Math.abs(low) * 0.1 || 1;
  const [bottom, top] = [low - margin, high + margin];
  const { width, height, left, right } = PANEL;
  const [x0, x1] = [left, width - right];
  const [y0, y1] = [height - PANEL.bottom, PANEL.top];
  const atX = (step: number) => round(x0 + ((step - steps[0]) / Math.max(steps[1] - steps[0], 1)) * (x1 - x0));
  const atY = (value: number) => round(y0 - ((value - bottom) / (top - bottom)) * (y0 - y1));
  const parts = [
    `<text x="${x0}" y="${PANEL.top - 12}" font-weight="600">${escapeXml(name)}</text>`,
    ...niceTicks(bottom, top).map(
      (tick) =>
        `<line x1="${x0}" x2="${x1}" y1="${atY(tick)}" y2="${atY(tick)}" stroke="${INK.grid}"/>` +
        `<text x="${x0 - 6}" y="${round(atY(tick) + 4)}" text-anchor="end">${tickText(tick)}</text>`,
    ),
    ...niceTicks(...steps).map(
      (tick) => `<text x="${atX(tick)}" y="${y0 + 18}" text-anchor="middle">${tickText(tick)}</text>`,
    ),
    `<line x1="${x0}" x2="${x1}" y1="${y0}" y2="${y0}" stroke="${INK.axis}"/>`,
  ];
  if (points.length > thinned.length) {
    const outline = [
      ...thinned.map(({ x, high: y }) => `${atX(x)},${atY(y)}`),
      ...[...thinned].reverse().map(({ x, low: y }) => `${atX(x)},${atY(y)}`),
    ];
    parts.push(`<polygon points="${outline.join(" ")}" fill="${INK.band}" stroke="none"/>`);
  }
  const path = thinned.map(({ x, y }) => `${atX(x)},${atY(y)}`).join(" ");
  parts.push(
    thinned.length === 1
      ? `<circle cx="${path.split(",")[0]}" cy="${path.split(",")[1]}" r="2.5" fill="${INK.line}"/>`
      : `<polyline points="${path}" fill="none" stroke="${INK.line}" stroke-width="1.5"/>`,
  );
  return parts.join("");
}

/** An SVG document; rows in the order of their steps. */
export function drawCurves(rows: readonly MetricsRow[], options: CurvesOptions = {}): string {
  const { title = "", columns = 3 } = options;
  const isPlotted = (name: string) => rows.some((row) => typeof row[name] === "number" && Number.isFinite(row[name]));
  const names = (
    options.metrics ?? [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => !NOT_METRICS.has(name))
  ).filter(isPlotted);
  const across = Math.max(1, Math.min(columns, names.length));
  const down = Math.max(1, Math.ceil(names.length / across));
  const steps = [rows[0]?.step ?? 0, rows.at(-1)?.step ?? 1] as const;
  const [width, height] = [across * PANEL.width, down * PANEL.height + TITLE_HEIGHT];
  const panels = names.map((name, i) => {
    const place = `${(i % across) * PANEL.width},${TITLE_HEIGHT + Math.floor(i / across) * PANEL.height}`;
    return `<g transform="translate(${place})">${panel(name, rows, steps)}</g>`;
  });
  const heading = names.length === 0 ? "no metrics yet" : title;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" `,
    `font-family="system-ui, sans-serif" font-size="11" fill="${INK.text}">`,
    `<title>${escapeXml(heading || "curves")}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="14" y="24" font-size="15" font-weight="600">${escapeXml(heading)}</text>`,
    ...panels,
    "</svg>\n",
  ].join("");
}

/** Sharp renders SVG at 72 dots per inch; twice that stays readable on dense screens. */
const DENSITY = 144;

/**
 * Writes the curves of a metrics log beside it, as SVG and as PNG.
 *
 * @param stem path without extension
 * @throws DataError when files can't be read or written
 */
export async function saveCurves(metricsPath: string, stem: string, options: CurvesOptions = {}): Promise<void> {
  const svg = new TextEncoder().encode(drawCurves(await readMetrics(metricsPath), options));
  const sharp = await loadSharp();
  const png = await sharp(svg, { density: DENSITY }).png().toBuffer();
  await writeFileAtomic(`${stem}.svg`, (file) => file.write(svg));
  await writeFileAtomic(`${stem}.png`, (file) => file.write(png));
}
