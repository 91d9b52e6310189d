// Draws public/hero.jpg, the picture of the first page: three scenes above their reconstructions, cut out of public/small-f32.jpg.
// Run it where it lies: node apps/docs/scripts/hero-picture.mjs
import { fileURLToPath } from "node:url";
import sharp from "sharp";

const CELL = 256;
const STEP = CELL + 2;
/** Columns and rows of the sheet; the reconstruction is a row below. */
const scenes = [
  [3, 0],
  [2, 2],
  [3, 2],
];

const path = (name) => fileURLToPath(new URL(`../public/${name}`, import.meta.url));
const cells = scenes.flatMap(([column, row], at) =>
  [0, 1].map(async (below) => ({
    input: await sharp(path("small-f32.jpg"))
      .extract({ left: 2 + STEP * column, top: 2 + STEP * (row + below), width: CELL, height: CELL })
      .toBuffer(),
    left: STEP * at,
    top: STEP * below,
  })),
);
const [width, height] = [STEP * scenes.length - 2, STEP * 2 - 2];
await sharp({ create: { width, height, channels: 3, background: "#ffffff" } })
  .composite(await Promise.all(cells))
  .jpeg({ quality: 88, mozjpeg: true })
  .toFile(path("hero.jpg"));
