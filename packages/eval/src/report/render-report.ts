/**
 * A result as one HTML file without outside parts: table, warnings, protocol, distributions, and pictures.
 */
import { differenceMap, encodeImage, type Image } from "@dcae/core";
import { METRICS, type Metric, type ReconstructionMetric } from "../protocols/metrics.js";
import { describeProtocol } from "../protocols/resolve-protocol.js";
import type { EvaluationResult, MetricValue } from "../results/evaluation-result.js";
import type { Example } from "../runners/pick-examples.js";
import { formatSeconds, formatSpread, formatValue } from "./format-value.js";
import { histogram } from "./histogram.js";
import { html, Markup } from "./html.js";
import { REPORT_STYLE } from "./report-style.js";

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
export async function renderReport(result: EvaluationResult, pictures: ReportPictures = {}): Promise<string> {
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
<p class="muted">${kind === "reconstruction" ? "Reconstruction" : "Generation"}, ${date.slice(0, 10)}, ${result.pictures.count} pictures</p>
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
