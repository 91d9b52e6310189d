/**
 * When Winograd pays in training: a rule from measurements of the whole of a 3x3 convolution, forward and both gradients.
 *
 * It pays earlier than at inference, because the transformed input and the transformed gradient each serve two of the three
 * products, and because direct convolutions of many small pictures are done picture by picture while the products of
 * Winograd's form take the batch at once. Milliseconds on ONNX Runtime, one core (direct / tiles of 2 / tiles of 4):
 *
 *    4 x  64 ->  64 at 64^2   23.1 / 26.8 / 17.6
 *    4 x 128 -> 128 at 32^2   20.0 / 16.8 / 11.1
 *    4 x 256 -> 256 at 16^2   22.2 / 14.1 / 11.2
 *   16 x  64 ->  64 at 16^2    6.7 /  5.3 /  4.3
 *   16 x  32 ->  32 at 32^2    8.1 / 10.3 /  6.9
 *   16 x  32 ->  16 at 32^2    5.2 /  8.4 /  5.7
 *   16 x 128 -> 128 at  8^2    6.9 /  5.5 /  5.2
 *   16 x 128 -> 512 at  4^2   10.3 /  6.4 /  7.5
 *   16 x 128 -> 512 at  2^2    8.6 /  4.0 /  7.6
 *    1 x 512 -> 512 at  8^2   13.0 / 15.2 / 23.4
 */
import type { ChooseWinograd } from "@dcae/core/graph";

/** Below these, the transforms cost more than the products save. */
const LEAST_CHANNELS = 32;
/** Below these, the weights are transformed for too few tiles. */
const LEAST_TILES = 16;

export const chooseTrainingWinograd: ChooseWinograd = ({ batch, inChannels, outChannels, outHeight, outWidth }) => {
  if (Math.min(inChannels, outChannels) < LEAST_CHANNELS) return undefined;
  const tiles = (side: number) => batch * Math.ceil(outHeight / side) * Math.ceil(outWidth / side);
  // A tile of 4 on a picture of 2 computes four times what is needed.
  if (outHeight >= 4 && outWidth >= 4 && tiles(4) > LEAST_TILES) return 4;
  return tiles(2) >= LEAST_TILES ? 2 : undefined;
};
