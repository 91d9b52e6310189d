// A start for distilling a decoder into another autoencoder's latents: the decoder of small-f32 behind the linear map, by least squares, from
// the teacher's latents of some pictures to those of small-f32 at the same places. The map is folded into the decoder's first
// convolution and its shortcut, so that the model is of the usual form. Its encoder stays that of small-f32, and is of no use with these latents.
//
//   node experiments/align-latents.mjs --teacher taesana_encoder.pth --scaling-factor 0.41407 --data photographs/ --out runs/start
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadAutoencoder, loadImage } from "@dcae/core";
import { tensorEntries } from "@dcae/core/checkpoint";
import { Tensor } from "@dcae/core/graph";
import { bundledModelPath, openCheckpoint, saveCheckpoint } from "@dcae/core/internal";

const SIZE = 256;
const FIRST = "decoder.project_in.main.conv";

const { values: given } = parseArgs({
  options: {
    teacher: { type: "string" },
    data: { type: "string" },
    out: { type: "string", default: "runs/start" },
    "scaling-factor": { type: "string", default: "1" },
  },
});
if (given.teacher === undefined || given.data === undefined) throw new Error("give --teacher and --data");

/** x with A x = b for a symmetric positive A [n, n] and b [n, m], by Gaussian elimination. */
function solve(a, b) {
  const rows = a.map((row, i) => [...row, ...b[i]]);
  for (const [i, pivot] of rows.entries()) {
    for (const [j, row] of rows.entries()) {
      if (i === j) continue;
      const factor = row[i] / pivot[i];
      for (let k = i; k < row.length; k++) row[k] -= factor * pivot[k];
    }
  }
  return rows.map((row, i) => row.slice(a.length).map((value) => value / row[i]));
}

/** Vectors of channels at each position, as rows. */
function vectorsOf(latent) {
  const [, channels, height, width] = latent.shape;
  const data = latent.toFloat32();
  const positions = height * width;
  return Array.from({ length: positions }, (_, at) =>
    Array.from({ length: channels }, (__, channel) => data[channel * positions + at]),
  );
}

const factor = Number(given["scaling-factor"]);
const small = await loadAutoencoder("small-f32", { device: "cpu" });
const teacher = await loadAutoencoder(given.teacher, { device: "cpu" });
const channels = small.latentChannels;
const square = (n, m) => Array.from({ length: n }, () => new Array(m).fill(0));
const [gram, right] = [square(channels + 1, channels + 1), square(channels + 1, channels)];
for (const name of readdirSync(given.data)) {
  const picture = await loadImage(join(given.data, name), { size: SIZE });
  const targets = vectorsOf(await small.encode(picture));
  for (const [i, vector] of vectorsOf(await teacher.encode(picture)).entries()) {
    const row = [...vector.map((value) => value / factor), 1];
    row.forEach((value, k) => {
      row.forEach((other, l) => {
        gram[k][l] += value * other;
      });
      targets[i].forEach((target, l) => {
        right[k][l] += value * target;
      });
    });
  }
}
await Promise.all([small.dispose(), teacher.dispose()]);
/** Row k: what channel k of the teacher's latents adds to each channel of small-f32's; the last row is constant. */
const map = solve(gram, right);
const constant = map.pop();

const { model, weights } = await openCheckpoint(bundledModelPath());
const read = (name) => weights.entries.get(name).read();
const [weight, bias] = [await read(`${FIRST}.weight`), await read(`${FIRST}.bias`)];
const [width, , side] = weight.shape;
const [before, offsets] = [weight.toFloat32(), bias.toFloat32()];
const taps = side * side;
const [after, shifted] = [new Float32Array(before.length), new Float32Array(width)];
for (let o = 0; o < width; o++) {
  // The shortcut repeats each channel of the latent this often.
  const copied = Math.floor((o * channels) / width);
  let shift = offsets[o] + constant[copied];
  for (let tap = 0; tap < taps; tap++) {
    const of = (channel) => before[(o * channels + channel) * taps + tap];
    const isCenter = tap === (taps - 1) / 2;
    constant.forEach((value, channel) => {
      shift += of(channel) * value;
    });
    map.forEach((row, from) => {
      let sum = isCenter ? row[copied] - (from === copied ? 1 : 0) : 0;
      row.forEach((value, channel) => {
        sum += of(channel) * value;
      });
      after[(o * channels + from) * taps + tap] = sum;
    });
  }
  shifted[o] = shift;
}
const replaced = tensorEntries([
  [`${FIRST}.weight`, Tensor.float32(after, weight.shape)],
  [`${FIRST}.bias`, Tensor.float32(shifted, bias.shape)],
]);
const entries = new Map([...weights.entries, ...replaced.map((entry) => [entry.name, entry])]);
await saveCheckpoint(model, { ...weights, entries }, given.out, { dtype: "float32" });
await weights.close();
console.log(`${given.out}: small-f32's decoder for the latents of ${given.teacher}`);
