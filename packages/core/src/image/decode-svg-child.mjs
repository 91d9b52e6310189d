// @ts-check
/**
 * The process that draws SVG. What a few bytes of it ask for may take hours (filters, nesting), and a native library that draws
 * can't be stopped inside of a process; a process can be ended as a whole. Plain JavaScript, because it is started from a file as it
 * is, in the sources and in the package. Requests are { bytes, maxPixels }, one at a time; answers { data, width, height, channels },
 * { tooLarge } or { error }.
 */
import sharp from "sharp";

process.on("disconnect", () => process.exit());
process.on("message", async (/** @type {{ bytes: Uint8Array, maxPixels: number }} */ { bytes, maxPixels }) => {
  try {
    const { width, height } = await sharp(bytes, { limitInputPixels: false }).metadata();
    if (width * height > maxPixels) {
      process.send?.({ tooLarge: `${width}x${height}` });
      return;
    }
    const { data, info } = await sharp(bytes, { failOn: "error", limitInputPixels: maxPixels })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    process.send?.({ data, width: info.width, height: info.height, channels: info.channels });
  } catch (error) {
    process.send?.({ error: error instanceof Error ? error.message : String(error) });
  }
});
process.send?.({ ready: true });
