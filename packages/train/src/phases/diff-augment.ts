/**
 * DiffAugment (Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training"): what the discriminator sees, pictures and
 * reconstructions alike, is changed at random, and the generator's gradient goes through the change. So the discriminator can't
 * learn few pictures by heart, and the generator doesn't learn to make changed ones.
 *
 * Each of the three passes of an update (reconstruction for the generator, picture, reconstruction) has draws of its own. They come
 * with the batch, as functions of the seed and the batch's place in the data: a resumed run has the same.
 */
import {
  add,
  cast,
  constant,
  createRandom,
  equal,
  input,
  less,
  matmul,
  mul,
  reduceMean,
  reshape,
  slice,
  sub,
  Tensor,
  type Value,
} from "@dcae/core/graph";

export const AUGMENTATIONS = ["color", "translation", "cutout"] as const;
/**
 * "color": brightness, saturation and contrast. "translation": up to an eighth of the side each way, 0 behind the edge. "cutout": a
 * square of half the side is 0.
 */
export type Augmentation = (typeof AUGMENTATIONS)[number];

/** The input with the draws of a batch, [3, N, 7]. */
export const AUGMENT_DRAWS = "augment";
/** Passes through the discriminator, in the order of an update. */
export type AugmentedPass = "generator" | "real" | "fake";
const PASSES: readonly AugmentedPass[] = ["generator", "real", "fake"];

/** Added to all values, factors of saturation and contrast, shift in pixels (y, x), first row and column that are cut out. */
const DRAWS = 7;
const TRANSLATION = 1 / 8;
const CUTOUT = 1 / 2;

/** Pixels of the square that is cut out of a side. */
const cutoutSide = (side: number) => Math.floor(side * CUTOUT + 0.5);

/**
 * The draws of a batch, [3, batch, 7].
 *
 * @param from number of the batch's first picture in the sequence of the data
 * @param size side of the pictures
 */
export function drawAugmentations(seed: number, from: number, batch: number, size: number): Tensor<"float32"> {
  const random = createRandom(seed, "gan/augment");
  const data = new Float32Array(PASSES.length * batch * DRAWS);
  const shift = Math.floor(size * TRANSLATION + 0.5);
  const cutout = cutoutSide(size);
  const below = (count: number) => Math.floor(random.nextUniform() * count);
  for (let n = 0; n < batch; n++) {
    random.seek((from + n) * PASSES.length * DRAWS);
    for (let pass = 0; pass < PASSES.length; pass++) {
      const color = [random.nextUniform() - 0.5, random.nextUniform() * 2, random.nextUniform() + 0.5];
      const moved = [below(2 * shift + 1) - shift, below(2 * shift + 1) - shift];
      // Centers anywhere in the picture: at its edges a part of the square is outside.
      const first = () => below(size + 1 - (cutout % 2)) - Math.floor(cutout / 2);
      data.set([...color, ...moved, first(), first()], (pass * batch + n) * DRAWS);
    }
  }
  return Tensor.float32(data, [PASSES.length, batch, DRAWS]);
}

/** The draws of a batch of `batch` pictures as an input of a program. */
export function augmentDraws(batch: number): Value {
  return input(AUGMENT_DRAWS, [PASSES.length, batch, DRAWS]);
}

/** 0, 1, 2... of that shape, of which one axis isn't 1. */
const positions = (...shape: number[]): Value =>
  constant(
    Tensor.float32(
      Float32Array.from({ length: Math.max(...shape) }, (_, i) => i),
      shape,
    ),
  );

/**
 * Pictures x [N, C, H, W] in [-1, 1] as one pass through the discriminator sees them.
 *
 * @param draws [3, N, 7], see `drawAugmentations`
 */
export function augment(x: Value, policy: readonly Augmentation[], draws: Value, pass: AugmentedPass): Value {
  const [batch, , height, width] = x.shape as [number, number, number, number];
  const own = slice(draws, 0, PASSES.indexOf(pass), PASSES.indexOf(pass) + 1);
  const draw = (i: number): Value => reshape(slice(own, 2, i, i + 1), [batch, 1, 1, 1]);
  const forms: Readonly<Record<Augmentation, (x: Value) => Value>> = {
    color(bright) {
      const lit = add(bright, draw(0));
      const grey = reduceMean(lit, [1], { keepDims: true });
      const saturated = add(mul(sub(lit, grey), draw(1)), grey);
      const mean = reduceMean(saturated, [1, 2, 3], { keepDims: true });
      return add(mul(sub(saturated, mean), draw(2)), mean);
    },
    translation(still) {
      // Products with matrices of 0 and 1: row i of the result is row i - shift, exactly, and so is the way of gradients.
      const shifted = (by: Value, to: Value, from: Value) => cast(equal(sub(to, from), by), "float32");
      const rows = shifted(draw(3), positions(1, 1, height, 1), positions(1, 1, 1, height));
      const columns = shifted(draw(4), positions(1, 1, 1, width), positions(1, 1, width, 1));
      return matmul(matmul(rows, still), columns);
    },
    cutout(whole) {
      const inside = (side: number, first: Value, at: Value) => {
        const from = sub(at, first);
        return mul(cast(less(-1, from), "float32"), cast(less(from, cutoutSide(side)), "float32"));
      };
      const rows = inside(height, draw(5), positions(1, 1, height, 1));
      const columns = inside(width, draw(6), positions(1, 1, 1, width));
      return mul(whole, sub(1, mul(rows, columns)));
    },
  };
  return policy.reduce((changed, name) => forms[name](changed), x);
}
