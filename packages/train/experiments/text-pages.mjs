// Pages of text drawn with the fonts of this machine, each beside what it says: to fine-tune on, and to read back.
//
//   node experiments/text-pages.mjs FOLDER [--count 400] [--seed 0] [--size 256]
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createRandom } from "@dcae/core/graph";
import { decodeImage, saveImage } from "@dcae/core/image";

const WORDS = (
  "the of and to in that was his he it with is for as had you not be her on at by which have or from this him but all she they " +
  "were my are me one their so an said them we who would been will no when there if more out up into do any your what has man could " +
  "other than our some very time upon about may its only now like little then can made should did us such great before must two these " +
  "see know over much down after first good men own never most old shall day where those came come himself way work life without go " +
  "make well through being long say might how am too even again many back here think every people went same last thought away under " +
  "take found hand eye still place while just also young yet though against things get ever give years off face nothing right once another " +
  "left part saw house world head three took new love always put night each between tell mind heart few because thing whom far seemed looked"
).split(" ");
const FONTS = [
  "DejaVu Sans",
  "DejaVu Serif",
  "DejaVu Sans Mono",
  "Liberation Sans",
  "Liberation Serif",
  "Liberation Mono",
];
/** Heights of letters in pixels ("em"), and how often each is drawn. */
export const SIZES = [16, 24, 32, 48, 64];
/** Widths of an average letter, by size: lines end before the edge. */
const LETTER = 0.62;
const COLORS = [
  ["#ffffff", "#111111"],
  ["#f7f3e8", "#2a2118"],
  ["#fdfdfd", "#1a3c7a"],
  ["#1c1e22", "#eceef2"],
  ["#e9eef5", "#7a1f1f"],
];

/** A page [size, size] of one font, size and color: its picture as SVG, and its lines. */
export function textPage(seed, size, em) {
  const random = createRandom(seed, "text page");
  const draws = random.uniform(new Float32Array(4096), 0, 1);
  let next = 0;
  const pick = (list) => list[Math.min(list.length - 1, Math.floor(draws[next++ % draws.length] * list.length))];
  const height = em ?? pick(SIZES);
  const [font, [paper, ink]] = [pick(FONTS), pick(COLORS)];
  const [margin, spacing] = [Math.round(size / 24), 1.3];
  const letters = Math.floor((size - 2 * margin) / (height * LETTER));
  const lines = [];
  for (let y = margin + height; y < size - margin / 2; y += height * spacing) {
    let line = pick(WORDS.filter(({ length }) => length <= letters));
    if (lines.length === 0) line = line[0].toUpperCase() + line.slice(1);
    for (let word = pick(WORDS); line.length + 1 + word.length <= letters; word = pick(WORDS)) line += ` ${word}`;
    lines.push({ y: Math.round(y), line });
  }
  const text = lines.map(({ y, line }) => `<text x="${margin}" y="${y}">${line}</text>`).join("");
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}"><rect width="100%" height="100%" fill="${paper}"/>` +
    `<g font-family="${font}" font-size="${height}" fill="${ink}">${text}</g></svg>`;
  return { svg, lines: lines.map(({ line }) => line), em: height };
}

/** Writes pages 0 to `count` of a seed as `NAME.png` and `NAME.txt`. @param em one size in place of all */
export async function writePages(folder, { count, seed = 0, size = 256, em }) {
  await mkdir(folder, { recursive: true });
  for (let i = 0; i < count; i++) {
    const page = textPage(seed * 1_000_000 + i, size, em);
    const name = `${String(i).padStart(5, "0")}-${page.em}px`;
    await saveImage(await decodeImage(Buffer.from(page.svg)), join(folder, `${name}.png`));
    await writeFile(join(folder, `${name}.txt`), `${page.lines.join("\n")}\n`);
  }
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const { values, positionals } = parseArgs({
    options: { count: { type: "string" }, seed: { type: "string" }, size: { type: "string" } },
    allowPositionals: true,
  });
  const [folder] = positionals;
  if (folder === undefined) throw new Error("name a folder");
  const { count = "400", seed = "0", size = "256" } = values;
  await writePages(folder, { count: Number(count), seed: Number(seed), size: Number(size) });
}
