/** A picture that is a formula: the live demo's model must make the same of it on every device. */
import { Tensor } from "@dcae/core";

const SIDE = 64;

/** [1, 3, 64, 64] */
export function wavePicture() {
  const wave = Float32Array.from({ length: 3 * SIDE * SIDE }, (_, i) => Math.sin(i / 97));
  return Tensor.float32(wave, [1, 3, SIDE, SIDE]);
}

/** The reference has every value of the latent, and one of so many of the picture that it decodes to. */
export const PICTURE_STRIDE = 16;
