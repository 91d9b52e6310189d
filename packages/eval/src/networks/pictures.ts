/** Where 8-bit pictures enter the metric networks: as bytes, so that an eighth of a float tensor has to be moved. */
import { type Image, ShapeError, Tensor } from "@dcae/core";
import { cast, input, transpose, type Value } from "@dcae/core/graph";

/** An input of 8-bit pictures [N, H, W, 3], as float32 [N, 3, H, W] with values 0 to 255. */
export function pictureInput(name: string, count: number, height: number, width: number): Value {
  return transpose(cast(input(name, [count, height, width, 3], "uint8"), "float32"), [0, 3, 1, 2]);
}

/**
 * Pictures of one size as such an input. With `count`, the last picture is repeated up to that number.
 *
 * @throws ShapeError when there is no picture, sizes differ, or there are more than `count`
 */
export function picturesToTensor(images: readonly Image[], count = images.length): Tensor<"uint8"> {
  const [first] = images;
  if (first === undefined || images.length > count) {
    throw new ShapeError(`picturesToTensor: ${images.length} pictures for a batch of ${count}`);
  }
  const { width, height } = first;
  const size = width * height * 3;
  const data = new Uint8Array(count * size);
  for (let i = 0; i < count; i++) {
    const image = images[Math.min(i, images.length - 1)] as Image;
    if (image.width !== width || image.height !== height) {
      throw new ShapeError(
        `picturesToTensor: picture ${i} is ${image.width}x${image.height}, picture 0 is ${width}x${height}`,
      );
    }
    data.set(image.data, i * size);
  }
  return new Tensor("uint8", data, [count, height, width, 3]);
}
