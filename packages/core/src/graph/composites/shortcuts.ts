/**
 * The non-parametric shortcuts of Residual Autoencoding (paper section 3.1; dcae.md 1.2) as composites.
 *
 * On a CPU they need no full shuffle: channels that a shuffle would put beside each other only to average them (or that were
 * copied in order to be put beside each other) are averaged (copied) where they are.
 */
import { type Dim, isStaticShape } from "../dim.js";
import { checkIntegers, shapeError } from "../infer/rule.js";
import { reduceMean } from "../ops/elementwise.js";
import {
  expand,
  pixelShuffle,
  pixelUnshuffle,
  repeatInterleave,
  reshape,
  slice,
  transpose,
  unshuffleRows,
} from "../ops/layout.js";
import { averagePool2d } from "../ops/linear.js";
import { type Grid, mapRegion } from "../tiling/pixel-layout.js";
import type { Value } from "../value.js";
import type { CompositeRow } from "./composite-row.js";

type Shape4 = readonly [number, number, number, number];

function checkShortcut(op: string, x: Value, outChannels: number, factor: number): void {
  checkIntegers(op, [x], { outChannels, factor }, 1);
  if (x.shape.length !== 4 || typeof x.shape[1] !== "number") throw shapeError(op, [x], "needs [N, C, H, W]");
}

export const averagingShortcut: CompositeRow<"averagingShortcut"> = {
  body([x], { outChannels, factor }) {
    checkShortcut("averagingShortcut", x, outChannels, factor);
    const unshuffled = pixelUnshuffle(x, factor);
    const [batch, channels, height, width] = unshuffled.shape as readonly [Dim, number, Dim, Dim];
    const group = channels / outChannels;
    if (!Number.isInteger(group)) {
      throw shapeError("averagingShortcut", [x], `${channels} unshuffled channels don't average to ${outChannels}`);
    }
    if (group === 1) return { result: unshuffled, parts: {} };
    return { result: reduceMean(reshape(unshuffled, [batch, outChannels, group, height, width]), 2), parts: {} };
  },
  half: "float32",
  tile: {
    fits: () => true,
    layout: (value, [x]) => (x?.kind === "picture" ? { ...x, grid: gridOf(value) } : undefined),
    need: ({ attributes: { attributes } }, region) =>
      mapRegion(region, ({ start, stop }) => ({ start: start * attributes.factor, stop: stop * attributes.factor })),
  },
  cpu({ shape, attributes: { attributes } }, [x]) {
    const { outChannels, factor } = attributes;
    if (!isStaticShape(shape) || factor === 1) return undefined;
    const group = ((x.shape[1] as number) * factor * factor) / outChannels;
    return group === 1 ? undefined : averageUnshuffled(x, factor, group);
  },
};

export const duplicatingShortcut: CompositeRow<"duplicatingShortcut"> = {
  body([x], { outChannels, factor }) {
    checkShortcut("duplicatingShortcut", x, outChannels, factor);
    const times = (outChannels * factor * factor) / (x.shape[1] as number);
    if (!Number.isInteger(times)) {
      throw shapeError("duplicatingShortcut", [x], `the channels don't repeat to ${outChannels * factor * factor}`);
    }
    return { result: pixelShuffle(repeatInterleave(x, 1, times), factor), parts: {} };
  },
  half: "layout",
  tile: {
    fits: () => true,
    layout: (value, [x]) => (x?.kind === "picture" ? { ...x, grid: gridOf(value) } : undefined),
    need: ({ attributes: { attributes } }, region) =>
      mapRegion(region, ({ start, stop }) => ({
        start: Math.floor(start / attributes.factor),
        stop: Math.ceil(stop / attributes.factor),
      })),
    // Whole cells, of which the region is cut out.
    make: ({ attributes: { attributes } }, inputs, { region }, make) =>
      region.reduce(
        (cells, { start, stop }, i) => {
          const from = start - Math.floor(start / attributes.factor) * attributes.factor;
          return slice(cells, 2 + i, from, from + stop - start);
        },
        make(inputs as readonly [Value]),
      ),
    cell: ({ attributes: { attributes } }) => attributes.factor,
  },
  cpu({ shape, attributes: { attributes } }, [x]) {
    const { outChannels, factor } = attributes;
    if (!isStaticShape(shape) || factor === 1) return undefined;
    const times = (outChannels * factor * factor) / (x.shape[1] as number);
    return times === 1 ? undefined : shuffleRepeated(x, times, factor);
  },
};

const gridOf = ({ shape }: { readonly shape: Value["shape"] }): Grid => shape.slice(-2) as unknown as Grid;

/** Mean of runs of `group` consecutive channels of `pixelUnshuffle(x, r)`, where a run covers whole rows of a cell. */
function averageUnshuffled(x: Value, r: number, group: number): Value | undefined {
  if (group % r !== 0) return undefined;
  if (group % (r * r) !== 0) {
    // A run is some rows of a cell: their columns are averaged, and those rows.
    const rows = group / r;
    return r % rows === 0 ? unshuffleRows(averagePool2d(x, [rows, r]), r / rows) : undefined;
  }
  const cells = averagePool2d(x, r);
  const [batch, channels, height, width] = cells.shape as Shape4;
  const merged = group / (r * r);
  if (merged === 1) return cells;
  return reduceMean(reshape(cells, [batch, channels / merged, merged, height, width]), 2);
}

/** The shuffle of channels that are each repeated `times` times, where the copies fill whole rows of a cell. */
function shuffleRepeated(x: Value, times: number, r: number): Value | undefined {
  if (times % r !== 0 || (times < r * r ? (r * r) % times : times % (r * r)) !== 0) return undefined;
  const [batch, channels, height, width] = x.shape as Shape4;
  const copies = Math.max(1, times / (r * r));
  // Each channel fills `rows` rows of a cell; with r rows it fills it alone.
  const rows = Math.min(r, times / r);
  // Copies are made as whole rows: an expansion of the last axis would write element by element.
  const beside = expand(reshape(x, [batch * channels, 1, height * width]), [batch * channels, r, height * width]);
  const lines = reshape(transpose(beside, [0, 2, 1]), [batch * channels, 1, height, 1, width * r]);
  const spread = expand(lines, [batch * channels, copies, height, rows, width * r]);
  const filled = reshape(spread, [batch, channels * copies, height * rows, width * r]);
  if (rows === r) return filled;
  // The rest of the cell's rows are other channels: [C, H, rows, W] of r/rows neighbors interleaved.
  const parts = r / rows;
  const outChannels = channels / parts;
  const interleaved = transpose(reshape(filled, [batch * outChannels, parts, height, rows * width * r]), [0, 2, 1, 3]);
  return reshape(interleaved, [batch, outChannels, height * r, width * r]);
}
