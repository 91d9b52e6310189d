// node main.cjs PICTURE: from CommonJS. Node 20.19, 22.12 and newer let `require` load ES modules; before, `await import(...)` does.
const { AutoencoderDC, loadImage, saveImage } = require("@dcae/core");

async function main([path]) {
  const ae = await AutoencoderDC.fromPretrained("small-f32");
  await saveImage(await ae.reconstruct(await loadImage(path, { size: 256 })), "reconstructed.png");
  await ae.dispose();
}

main(process.argv.slice(2));
