/** Writes the curves of a metrics log beside it, as SVG and as PNG. */
import { writeFileAtomic } from "@dcae/core/checkpoint";
import { loadSharp } from "@dcae/core/image";
import { type CurvesOptions, drawCurves } from "./curves.js";
import { readMetrics } from "./metrics-log.js";

/** Sharp renders SVG at 72 dots per inch; twice that stays readable on dense screens. */
const DENSITY = 144;

/**
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
