// Draws what guidance does to a diffusion model: a column for each class, rows for scales 1, 2 and 4, from the same noise.
// Run it after `npm run build`, in the folder of the runs:
//   node apps/docs/scripts/guidance-picture.mjs runs/dit-scenes/model apps/docs/public/dit-scenes.jpg --sampler ddim --steps 50
// What follows the two paths goes to `dcae sample`.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";

const SCALES = [1, 2, 4];
const GAP = 4;
const dcae = fileURLToPath(new URL("../../../packages/cli/dist/bin.js", import.meta.url));
const [model, out, ...flags] = process.argv.slice(2);
const { classes } = JSON.parse(readFileSync(join(model, "config.json"), "utf8"));

const folder = mkdtempSync(join(tmpdir(), "guidance-"));
try {
  const rows = SCALES.map((scale) => {
    const row = join(folder, `${scale}.png`);
    const labels = ["--labels", classes.join(","), "--columns", String(classes.length)];
    const sample = ["sample", "-m", model, ...labels, "--cfg", String(scale), ...flags, "-o", row];
    execFileSync(process.execPath, [dcae, ...sample]);
    return row;
  });
  const { width, height } = await sharp(rows[0]).metadata();
  await sharp({ create: { width, height: rows.length * (height + GAP) - GAP, channels: 3, background: "white" } })
    .composite(rows.map((input, i) => ({ input, left: 0, top: i * (height + GAP) })))
    .jpeg({ quality: 82, mozjpeg: true })
    .toFile(out);
} finally {
  rmSync(folder, { recursive: true });
}
