/**
 * A canvas of linear light, on which scenes are painted from back to front.
 *
 * Coordinates don't depend on the size in pixels: y runs from 0 (top) to 1 (bottom), x from 0 to the aspect ratio, so
 * that a seed gives the same scene at every resolution. Edges are antialiased by coverage: a shader returns how much of
 * the pixel it covers.
 */
import { createImage, type Image } from "@dcae/core/image";
import { hash } from "./noise.js";

/** Red, green, blue in linear light; 1 is paper white, more is possible. Also used as the target of shaders. */
export type Color = [red: number, green: number, blue: number];

export interface Canvas {
  readonly width: number;
  readonly height: number;
  /** Width over height. */
  readonly aspect: number;
  /** Side of a pixel in scene units. */
  readonly pixel: number;
  /** Rows of linear RGB. */
  readonly data: Float32Array;
}

/** Part of the canvas in scene units; what lies outside of the canvas is ignored. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Writes the color at (x, y) to `out` and returns its opacity, 0 to 1 (`out` isn't read at 0). */
export type Shader = (x: number, y: number, out: Color) => number;

export function createCanvas(width: number, height: number): Canvas {
  return { width, height, aspect: width / height, pixel: 1 / height, data: new Float32Array(width * height * 3) };
}

/** Paints every pixel of the region (by default of the canvas) whose center lies inside. */
export function paint(canvas: Canvas, shader: Shader, region?: Region): void {
  const { width, height, pixel, data } = canvas;
  const firstX = region === undefined ? 0 : Math.max(Math.floor(region.left * height), 0);
  const lastX = region === undefined ? width : Math.min(Math.ceil(region.right * height), width);
  const firstY = region === undefined ? 0 : Math.max(Math.floor(region.top * height), 0);
  const lastY = region === undefined ? height : Math.min(Math.ceil(region.bottom * height), height);
  const out: Color = [0, 0, 0];
  for (let py = firstY; py < lastY; py++) {
    let at = (py * width + firstX) * 3;
    for (let px = firstX; px < lastX; px++) {
      const opacity = shader((px + 0.5) * pixel, (py + 0.5) * pixel, out);
      if (opacity >= 1) {
        data[at] = out[0];
        data[at + 1] = out[1];
        data[at + 2] = out[2];
      } else if (opacity > 0) {
        const red = data[at] as number;
        const green = data[at + 1] as number;
        const blue = data[at + 2] as number;
        data[at] = red + opacity * (out[0] - red);
        data[at + 1] = green + opacity * (out[1] - green);
        data[at + 2] = blue + opacity * (out[2] - blue);
      }
      at += 3;
    }
  }
}

/** Writes the canvas's color at (x, y), the nearest pixel, to `out`. */
export function sample(canvas: Canvas, x: number, y: number, out: Color): void {
  const px = Math.min(Math.max(Math.floor(x * canvas.height), 0), canvas.width - 1);
  const py = Math.min(Math.max(Math.floor(y * canvas.height), 0), canvas.height - 1);
  const at = (py * canvas.width + px) * 3;
  out[0] = canvas.data[at] as number;
  out[1] = canvas.data[at + 1] as number;
  out[2] = canvas.data[at + 2] as number;
}

/** Linear light below this is reproduced as it is; above, a shoulder leads to white, as film does. */
const SHOULDER = 0.6;

/** The finished picture: highlights rolled off, corners a little darker, fine grain, 8 bits. */
export function develop(canvas: Canvas, seed: number): Image {
  const { width, height, data } = canvas;
  const image = createImage(width, height);
  const reach = 1 / (width * width + height * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const dx = 2 * x + 1 - width;
      const dy = 2 * y + 1 - height;
      const corner = (dx * dx + dy * dy) * reach;
      const exposure = 1 - 0.28 * corner * corner;
      // Two bytes of a hash, subtracted: triangular grain of about one level and a half.
      const h = hash(x, y, seed);
      const grain = ((h & 0xff) - ((h >>> 8) & 0xff)) * (1.8 / 255);
      const at = (y * width + x) * 3;
      for (let c = at; c < at + 3; c++) {
        const light = Math.max((data[c] as number) * exposure, 0);
        const over = light - SHOULDER;
        const rolled = over <= 0 ? light : SHOULDER + ((1 - SHOULDER) * over) / (over + (1 - SHOULDER));
        // A square root stands for the display's curve: exact on every platform.
        image.data[c] = Math.min(Math.max(255 * Math.sqrt(rolled) + grain + 0.5, 0), 255);
      }
    }
  }
  return image;
}
