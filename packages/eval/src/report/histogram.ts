/** A small histogram as inline SVG, with the extremes and the median written below. */
import { html, type Markup } from "./html.js";

const BINS = 40;
const WIDTH = 800;
const HEIGHT = 64;

/** Values that aren't finite are left out. */
export function histogram(values: readonly number[], format: (value: number) => string): Markup {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const [low, high] = [sorted[0], sorted.at(-1)];
  if (low === undefined || high === undefined) return html`<p class="muted">no finite values</p>`;
  const median = sorted[Math.floor(sorted.length / 2)] as number;
  const counts = new Array<number>(BINS).fill(0);
  const span = high - low;
  for (const value of sorted) {
    const bin = span === 0 ? 0 : Math.min(Math.floor(((value - low) / span) * BINS), BINS - 1);
    counts[bin] = (counts[bin] as number) + 1;
  }
  const tallest = Math.max(...counts);
  const step = WIDTH / BINS;
  const bars = counts.map((count, i) => {
    const height = (count / tallest) * HEIGHT;
    return html`<rect x="${i * step}" y="${(HEIGHT - height).toFixed(1)}" width="${step - 1}" height="${height.toFixed(1)}"></rect>`;
  });
  return html`<svg class="histogram" viewBox="0 0 ${WIDTH} ${HEIGHT + 18}" role="img" aria-label="histogram">${bars}<text x="0" y="${HEIGHT + 14}">${format(low)}</text><text x="${WIDTH / 2}" y="${HEIGHT + 14}" text-anchor="middle">median ${format(median)}</text><text x="${WIDTH}" y="${HEIGHT + 14}" text-anchor="end">${format(high)}</text></svg>`;
}
