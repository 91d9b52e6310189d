// Draws public/compression.jpg: one 512x512 scene under the grids of latent positions that each compression leaves.
// Run it after `npm run build`: node apps/docs/scripts/compression-picture.mjs
import { fileURLToPath } from "node:url";
import { drawScene } from "@dcae/train/scenes";
import sharp from "sharp";

const SIDE = 512;
const SHOWN = 300;
const GAP = 16;
const CAPTION = 56;
const panels = [
  { f: 8, label: "SD-VAE f8", channels: 4 },
  { f: 32, label: "DC-AE f32c32", channels: 32 },
  { f: 64, label: "DC-AE f64c128", channels: 128 },
  { f: 128, label: "DC-AE f128c512", channels: 512 },
];

const scene = drawScene({ width: SIDE, height: SIDE, seed: 11, kind: "seascape" });
const picture = await sharp(scene.data, { raw: { width: SIDE, height: SIDE, channels: 3 } })
  .resize(SHOWN, SHOWN)
  .png()
  .toBuffer();

function overlay({ f, label, channels }) {
  const cells = SIDE / f;
  const step = SHOWN / cells;
  const lines = Array.from({ length: cells + 1 }, (_, i) => {
    const at = (i * step).toFixed(2);
    return `M${at} 0V${SHOWN}M0 ${at}H${SHOWN}`;
  }).join("");
  const width = f === 8 ? 0.5 : 1.2;
  const text = (y, size, weight, content) =>
    `<text x="${SHOWN / 2}" y="${y}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="${size}" ` +
    `font-weight="${weight}" text-anchor="middle" fill="#222">${content}</text>`;
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${SHOWN}" height="${SHOWN + CAPTION}">` +
      `<path d="${lines}" stroke="white" stroke-opacity="0.8" stroke-width="${width}" fill="none"/>` +
      text(SHOWN + 23, 18, 700, label) +
      text(SHOWN + 45, 15, 400, `${channels} x ${cells} x ${cells}: ${cells * cells} positions`) +
      "</svg>",
  );
}

const layers = panels.flatMap((panel, i) => {
  const left = GAP + i * (SHOWN + GAP);
  return [
    { input: picture, left, top: GAP },
    { input: overlay(panel), left, top: GAP },
  ];
});
await sharp({
  create: {
    width: GAP + panels.length * (SHOWN + GAP),
    height: GAP + SHOWN + CAPTION,
    channels: 3,
    background: "white",
  },
})
  .composite(layers)
  .jpeg({ quality: 88 })
  .toFile(fileURLToPath(new URL("../public/compression.jpg", import.meta.url)));
