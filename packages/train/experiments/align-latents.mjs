// A start for distilling a decoder, or an encoder, of another autoencoder's latents: that of small-f32 behind, or in front of, the linear map
// by least squares between the two latents of some pictures at the same places. The map is folded into the decoder's first convolution
// and the encoder's last one, and their shortcuts, so that the model is of the usual form.
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
const LAST = "encoder.project_out.main.op_list.0.conv";

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

/**
 * The affine map from some vectors to others, by least squares.
 *
 * @returns `map[k][l]`: what channel k of the one adds to channel l of the other; `constant[l]`
 */
function affineMap(from, to) {
  const square = (n, m) => Array.from({ length: n }, () => new Array(m).fill(0));
  const [gram, right] = [square(from[0].length + 1, from[0].length + 1), square(from[0].length + 1, to[0].length)];
  for (const [i, vector] of from.entries()) {
    const row = [...vector, 1];
    row.forEach((value, k) => {
      row.forEach((other, l) => {
        gram[k][l] += value * other;
      });
      to[i].forEach((target, l) => {
        right[k][l] += value * target;
      });
    });
  }
  const map = solve(gram, right);
  const constant = map.pop();
  return { map, constant };
}

const factor = Number(given["scaling-factor"]);
const small = await loadAutoencoder("small-f32", { device: "cpu" });
const teacher = await loadAutoencoder(given.teacher, { device: "cpu" });
const channels = small.latentChannels;
const [own, wanted] = [[], []];
for (const name of readdirSync(given.data)) {
  const picture = await loadImage(join(given.data, name), { size: SIZE });
  own.push(...vectorsOf(await small.encode(picture)));
  wanted.push(...vectorsOf(await teacher.encode(picture)).map((vector) => vector.map((value) => value / factor)));
}
await Promise.all([small.dispose(), teacher.dispose()]);

const { model, weights } = await openCheckpoint(bundledModelPath());
const read = (name) => weights.entries.get(name).read();

/** The decoder's first convolution, behind the map from the teacher's latents to its own. */
async function decoderStart() {
  const { map, constant } = affineMap(wanted, own);
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
  return convolution(FIRST, weight, after, shifted);
}

/** The encoder's last convolution, in front of the map from its own latents to the teacher's. */
async function encoderStart() {
  const { map, constant } = affineMap(own, wanted);
  const [weight, bias] = [await read(`${LAST}.weight`), await read(`${LAST}.bias`)];
  const [, width, side] = weight.shape;
  const [before, offsets] = [weight.toFloat32(), bias.toFloat32()];
  const taps = side * side;
  const [after, shifted] = [new Float32Array(before.length), new Float32Array(channels)];
  // The shortcut is the mean of this many channels in a row.
  const averaged = width / channels;
  for (let o = 0; o < channels; o++) {
    shifted[o] = constant[o];
    map.forEach((row, channel) => {
      shifted[o] += row[o] * offsets[channel];
    });
    for (let from = 0; from < width; from++) {
      const mean = Math.floor(from / averaged);
      for (let tap = 0; tap < taps; tap++) {
        const isCenter = tap === (taps - 1) / 2;
        let sum = isCenter ? (map[mean][o] - (mean === o ? 1 : 0)) / averaged : 0;
        map.forEach((row, channel) => {
          sum += row[o] * before[(channel * width + from) * taps + tap];
        });
        after[(o * width + from) * taps + tap] = sum;
      }
    }
  }
  return convolution(LAST, weight, after, shifted);
}

const convolution = (name, weight, values, offsets) =>
  tensorEntries([
    [`${name}.weight`, Tensor.float32(values, weight.shape)],
    [`${name}.bias`, Tensor.float32(offsets, [offsets.length])],
  ]);

const replaced = [...(await decoderStart()), ...(await encoderStart())];
const entries = new Map([...weights.entries, ...replaced.map((entry) => [entry.name, entry])]);
await saveCheckpoint(model, { ...weights, entries }, given.out, { dtype: "float32" });
await weights.close();
console.log(`${given.out}: small-f32 for the latents of ${given.teacher}`);
