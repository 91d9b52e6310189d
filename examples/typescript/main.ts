// npx tsc && node dist/main.js PICTURE: types of what goes in and comes out.
import { AutoencoderDC, DcaeError, loadImage, type Tensor } from "@dcae/core";

const [path = "cat.jpg"] = process.argv.slice(2);

try {
  const ae: AutoencoderDC = await AutoencoderDC.fromPretrained("small-f32", { device: "cpu" });
  const latent: Tensor<"float32"> = await ae.encode(await loadImage(path, { size: 256 }));
  const values: Float32Array = latent.data;
  const [, channels, height, width] = latent.shape;
  console.log(`${path}: ${values.length} numbers, ${channels} channels of ${width}x${height}`);
  await ae.dispose();
} catch (error) {
  // Errors of the package say what was expected, what was got, and what to do.
  if (!(error instanceof DcaeError)) throw error;
  console.error(`${error.name}: ${error.message}. ${error.hint ?? ""}`);
  process.exitCode = 1;
}
