/**
 * A result as one HTML file without outside parts: table, warnings, protocol, distributions, and pictures.
 *
 * Everything that isn't markup of ours is escaped. The histogram is ours: libraries of charts draw in a browser, or bring a document
 * to draw in.
 */
import type { Image } from "@dcae/core";
import { writeFileAtomic } from "@dcae/core/checkpoint";
import { differenceMap, encodeImage } from "@dcae/core/image";
import { plural, quantile } from "@dcae/core/internal";
import { METRICS, type Metric, type ReconstructionMetric } from "../protocols/metrics.js";
import { describeProtocol } from "../protocols/protocol.js";
import type { EvaluationResult, MetricValue } from "../results/evaluation-result.node.js";
import type { Example } from "../runners/pick-examples.js";
import { formatSeconds, formatSpread, formatValue } from "./format-result.js";

/** Text that is markup already. */
class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Markup | undefined | false | readonly Part[];

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function render(part: Part): string {
  if (part === undefined || part === false) return "";
  if (part instanceof Markup) return part.text;
  if (typeof part === "object") return part.map(render).join("");
  return String(part).replace(/[&<>"']/g, (character) => ENTITIES[character] as string);
}

/** Template tag: html`<b>${text}</b>`; texts, names and paths are escaped, markup and lists of it are not. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.reduce((text, string, i) => text + render(parts[i - 1]) + string));
}

const BINS = 40;
const WIDTH = 800;
const HEIGHT = 64;

/** Values that aren't finite are left out. */
export function histogram(values: readonly number[], format: (value: number) => string): Markup {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return html`<p class="muted">no finite values</p>`;
  const [low, middle, high] = [0, 0.5, 1].map((share) => quantile(finite, share)) as [number, number, number];
  const counts = new Array<number>(BINS).fill(0);
  const span = high - low;
  for (const value of finite) {
    const bin = span === 0 ? 0 : Math.min(Math.floor(((value - low) / span) * BINS), BINS - 1);
    counts[bin] = (counts[bin] as number) + 1;
  }
  const tallest = Math.max(...counts);
  const step = WIDTH / BINS;
  const bars = counts.map((count, i) => {
    const height = (count / tallest) * HEIGHT;
    return html`<rect x="${i * step}" y="${(HEIGHT - height).toFixed(1)}" width="${step - 1}" height="${height.toFixed(1)}"></rect>`;
  });
  return html`<svg class="histogram" viewBox="0 0 ${WIDTH} ${HEIGHT + 18}" role="img" aria-label="histogram">${bars}<text x="0" y="${HEIGHT + 14}">${format(low)}</text><text x="${WIDTH / 2}" y="${HEIGHT + 14}" text-anchor="middle">median ${format(middle)}</text><text x="${WIDTH}" y="${HEIGHT + 14}" text-anchor="end">${format(high)}</text></svg>`;
}

export interface ReportPictures {
  /** Worst and best reconstructions (see `makeExamples`). */
  readonly examples?: readonly Example[];
  /** Some generated pictures. */
  readonly samples?: readonly Image[];
}

/** Lossless up to this many pixels; larger pictures as WebP at quality 95, or a report would have tens of megabytes. */
const LOSSLESS_PIXELS = 256 * 256;

/** Pictures whose problem is shown. */
const MAX_LISTED = 50;

/** Of fewer pictures the list of values says more. */
const MIN_FOR_HISTOGRAM = 20;

async function dataUri(image: Image): Promise<string> {
  const lossless = image.width * image.height <= LOSSLESS_PIXELS;
  const bytes = await encodeImage(image, "webp", lossless ? { lossless } : { quality: 95 });
  return `data:image/webp;base64,${Buffer.from(bytes).toString("base64")}`;
}

function metricTable({ metrics, missing }: EvaluationResult): Markup {
  const rows = (Object.entries(metrics) as [Metric, MetricValue][]).map(([metric, value]) => {
    const { label, better } = METRICS[metric];
    return html`<tr><th>${label}</th><td class="number">${formatValue(metric, value.value)}</td><td class="number">${formatSpread(metric, value)}</td><td class="number">${value.count}</td><td class="direction">${better} is better${value.note !== undefined && html`; ${value.note}`}</td></tr>`;
  });
  const absent = missing.map(
    ({ metric, reason, hint }) =>
      html`<tr><th>${METRICS[metric].label}</th><td colspan="4" class="muted">not computed: ${reason}${hint !== undefined && html`. ${hint}`}</td></tr>`,
  );
  return html`<div class="scroll"><table><thead><tr><th>Metric</th><th class="number">Value</th><th class="number">Std</th><th class="number">Pictures</th><th></th></tr></thead><tbody>${rows}${absent}</tbody></table></div>`;
}

function plainTable(rows: readonly (readonly [string, string | Markup])[]): Markup {
  return html`<table class="plain"><tbody>${rows.map(([what, value]) => html`<tr><th>${what}</th><td>${value}</td></tr>`)}</tbody></table>`;
}

async function exampleFigure(example: Example): Promise<Markup> {
  const { original, reconstruction, name, values } = example;
  const pictures = [original, reconstruction, differenceMap(original, reconstruction)];
  const labels = ["original", "reconstruction", "difference"];
  const sources = await Promise.all(pictures.map(dataUri));
  const numbers = (Object.entries(values) as [ReconstructionMetric, number][])
    .map(([metric, value]) => `${METRICS[metric].label} ${formatValue(metric, value)}`)
    .join(", ");
  const columns = sources.map(
    (source, i) =>
      html`<div><img src="${source}" alt="${labels[i]} of ${name}" width="${original.width}" height="${original.height}"><span class="label">${labels[i]}</span></div>`,
  );
  return html`<figure class="example"><figcaption><code>${name}</code><span>${numbers}</span></figcaption><div class="row">${columns}</div></figure>`;
}

async function exampleSection(examples: readonly Example[], rank: "worst" | "best"): Promise<Markup> {
  const chosen = examples.filter((example) => example.rank === rank);
  const [first] = chosen;
  if (first === undefined) return html``;
  const figures: Markup[] = [];
  for (const example of chosen) figures.push(await exampleFigure(example));
  const title = `${rank === "worst" ? "Worst" : "Best"} reconstructions by ${METRICS[first.rankedBy].label}`;
  const legend = "Differences: black is none, white is 64 of 255 or more.";
  return html`<h2>${title}</h2><p class="muted">${legend}</p>${figures}`;
}

function pictureTable({ pictures, settings = {}, reference, latent }: EvaluationResult): Markup {
  const sizes = Object.entries(pictures.sizes).sort((a, b) => b[1] - a[1]);
  const shown = sizes.slice(0, 8).map(([size, count]) => `${count} of ${size}`);
  if (sizes.length > shown.length) shown.push(`${sizes.length - shown.length} more sizes`);
  const listed = pictures.unusable.slice(0, MAX_LISTED);
  const unusable = listed.map(({ name, problem }) => html`<p><code>${name}</code> ${problem}</p>`);
  const more = pictures.unusable.length - listed.length;
  if (more > 0) unusable.push(html`<p>and ${more} more</p>`);
  const rows: [string, string | Markup][] = [
    ["source", pictures.source],
    ["pictures", `${pictures.count} (${shown.join(", ") || "none"})`],
  ];
  for (const [what, value] of Object.entries(settings)) rows.push([what, String(value)]);
  if (reference !== undefined) rows.push(["compared with", reference.name]);
  if (unusable.length > 0) rows.push(["couldn't be used", html`${unusable}`]);
  if (latent !== undefined) {
    const { mean, rms, std } = latent;
    rows.push([
      "latent",
      `mean ${mean.toFixed(4)}, rms ${rms.toFixed(4)} (scaling factor ${(1 / rms).toFixed(4)}), std ${std.toFixed(4)}`,
    ]);
  }
  return plainTable(rows);
}

function originTable({ networks, engine, machine, seconds }: EvaluationResult): Markup {
  const files = networks.flatMap((network) => network.files);
  return plainTable([
    ...files.map(({ path, sha256, published }): [string, Markup] => [
      published ? "published weights" : "unverified weights",
      html`<code>${path}</code><br><code class="muted">${sha256}</code>`,
    ]),
    ["engine", engine],
    [
      "machine",
      `${machine.cpu}, ${machine.threads} threads, ${machine.memoryGiB} GiB, ${machine.platform}, Node ${machine.node}`,
    ],
    ["time", formatSeconds(seconds)],
  ]);
}

function distributions({ perPicture }: EvaluationResult): Markup {
  const columns = Object.entries(perPicture?.values ?? {}) as [ReconstructionMetric, readonly number[]][];
  if (columns.length === 0 || (perPicture?.names.length ?? 0) < MIN_FOR_HISTOGRAM) return html``;
  return html`<h2>Distribution over pictures</h2>${columns.map(
    ([metric, values]) =>
      html`<p class="muted">${METRICS[metric].label}</p>${histogram(values, (value) => formatValue(metric, value))}`,
  )}`;
}

/** The report as HTML text. */
async function renderReport(result: EvaluationResult, pictures: ReportPictures = {}): Promise<string> {
  const { subject, kind, date, warnings, protocol } = result;
  const { examples = [], samples = [] } = pictures;
  const sources: string[] = [];
  for (const sample of samples) sources.push(await dataUri(sample));
  const title = `${subject}: ${kind}`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Markup(REPORT_STYLE)}</style>
</head>
<body>
<h1>${subject}</h1>
<p class="muted">${kind === "reconstruction" ? "Reconstruction" : "Generation"}, ${date.slice(0, 10)}, ${plural(result.pictures.count, "picture")}</p>
${warnings.length > 0 && html`<div class="warnings">${warnings.map((text) => html`<p>${text}</p>`)}</div>`}
${metricTable(result)}
<h2>Protocol</h2>
<p class="muted">Numbers are comparable only where all of this is equal.</p>
${plainTable(describeProtocol(protocol, kind))}
<h2>Pictures</h2>
${pictureTable(result)}
${distributions(result)}
${await exampleSection(examples, "worst")}
${await exampleSection(examples, "best")}
${sources.length > 0 && html`<h2>Samples</h2><div class="grid">${sources.map((source) => html`<img src="${source}" alt="sample">`)}</div>`}
<h2>Origin</h2>
${originTable(result)}
</body>
</html>
`;
  return page.text;
}

/** @throws DataError when the file can't be written */
/** Writes a result as one HTML file without outside parts, with pictures where they are given. */
export async function writeReport(
  path: string,
  result: EvaluationResult,
  pictures: ReportPictures = {},
): Promise<void> {
  const text = await renderReport(result, pictures);
  await writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(text)));
}

/** The look of reports: one column, tabular numbers, light and dark. */
const REPORT_STYLE = `
:root { color-scheme: light dark; --text: #1c1e21; --muted: #63676d; --line: #d9dce0; --back: #fff; --card: #f5f6f8; --accent: #0b63b5; --warn: #8a5300; --warn-back: #fff5e2; }
@media (prefers-color-scheme: dark) { :root { --text: #e5e7ea; --muted: #9aa0a8; --line: #363a40; --back: #17191c; --card: #1f2226; --accent: #7db8f2; --warn: #f2c37b; --warn-back: #2f2614; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.1rem; }
p { margin: .25rem 0; }
.muted { color: var(--muted); }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
td { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
td.number { font-size: 1.05rem; }
td.direction { min-width: 8rem; overflow-wrap: normal; color: var(--muted); }
table.plain th, table.plain td { padding-top: .25rem; padding-bottom: .25rem; }
table.plain th { width: 13rem; font-weight: 400; color: var(--muted); }
.scroll { overflow-x: auto; }
.warnings { margin: 1rem 0; padding: .75rem 1rem; border-left: 4px solid var(--warn); background: var(--warn-back); }
.warnings p { color: var(--warn); overflow-wrap: anywhere; }
.example { margin: 0 0 1.5rem; padding: .75rem; background: var(--card); border-radius: .5rem; }
.example .row { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .5rem; }
.example img { width: 100%; height: auto; display: block; }
.example .label { font-size: .8rem; color: var(--muted); }
.example figcaption { display: flex; flex-wrap: wrap; gap: .25rem 1rem; justify-content: space-between; margin-bottom: .5rem; font-size: .9rem; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .5rem; }
.grid img { width: 100%; display: block; }
svg.histogram { width: 100%; height: auto; display: block; }
svg.histogram rect { fill: var(--accent); }
svg.histogram text { fill: var(--muted); font-size: 11px; }
code { font-family: ui-monospace, monospace; font-size: .85em; }
`;
