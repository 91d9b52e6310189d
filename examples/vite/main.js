// A chosen picture, encoded and decoded on the visitor's machine.
import { AutoencoderDC, loadImage, toCanvas } from "@dcae/core";
import { smallF32 } from "@dcae/core/small-f32";

const input = document.querySelector("input");
const status = document.querySelector("[role=status]");
const canvas = document.querySelector("canvas");

async function show(picture) {
  const start = performance.now();
  const latent = await ae.encode(await loadImage(picture, { size: 256 }));
  toCanvas(await ae.decode(latent), canvas);
  status.textContent = `${latent.size} numbers instead of ${3 * 256 * 256}, in ${Math.round(performance.now() - start)} ms.`;
}

const ae = await AutoencoderDC.fromPretrained(smallF32); // its files come from where the page does
status.textContent = "Choose a picture.";
input.disabled = false;
input.addEventListener("change", () => show(input.files[0]).catch((error) => (status.textContent = error.message)));
