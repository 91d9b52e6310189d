// A rank of a check (check-mpi.mjs): a decode whose tiles ranks share, against the decode of the whole, in float32.

import { createRandom, Tensor } from "../packages/core/dist/graph/index.js";
import { AutoencoderDC } from "../packages/core/dist/index.js";
import { openMpi } from "../packages/core/dist/internal/index.js";

const TOLERANCE = 1e-5;
const SHAPE = [1, 32, 24, 24];
const MAX_MEMORY = 350e6;

const ranks = await openMpi({ onEnd: (message) => message !== null && console.error(message) });
const model = await AutoencoderDC.fromPretrained("small-f32", { device: "cpu", threads: 1, optimize: false });
const latent = Tensor.float32(createRandom(1, "latent").uniform(new Float32Array(32 * 24 * 24), -1, 1), SHAPE);
const { tiles } = model.planMemory("decode", SHAPE, { maxMemory: MAX_MEMORY });
const whole = await model.decode(latent);
const shared = await model.decode(latent, { maxMemory: MAX_MEMORY, ranks });
let [largest, error] = [0, 0];
whole.data.forEach((value, i) => {
  largest = Math.max(largest, Math.abs(value));
  error = Math.max(error, Math.abs(value - shared.data[i]));
});
const isGood = tiles >= 4 && shared.data.length === whole.data.length && error <= TOLERANCE * largest;
if (ranks.rank === 0 || !isGood) console.log(`${tiles} tiles: they differ by ${error / largest} of the largest value`);
await model.dispose();
await ranks.close();
process.exit(isGood ? 0 : 1);
