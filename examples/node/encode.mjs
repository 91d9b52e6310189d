// node encode.mjs PICTURES...: each becomes a latent (NAME.npy) and comes back as NAME-decoded.png; the PSNR says what was lost.
import { writeFile } from "node:fs/promises";
import { parse } from "node:path";
import { AutoencoderDC, loadImage, psnr, saveImage, toImage } from "@dcae/core";
import { encodeNpy } from "@dcae/core/checkpoint";

const ae = await AutoencoderDC.fromPretrained("small-f32");
for (const path of process.argv.slice(2)) {
  const { name } = parse(path);
  const picture = await loadImage(path, { size: 256 }); // [1, 3, 256, 256] in [-1, 1]
  const latent = await ae.encode(picture); // [1, 32, 8, 8]
  const decoded = await ae.decode(latent);
  await writeFile(`${name}.npy`, encodeNpy(latent));
  await saveImage(decoded, `${name}-decoded.png`);
  console.log(`${path}: [${latent.shape}], ${psnr(toImage(picture), toImage(decoded)).toFixed(2)} dB`);
}
await ae.dispose();
