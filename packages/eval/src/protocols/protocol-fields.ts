/** A protocol as it stands in files. */
import { type Field, finite, list, nullable, object, oneOf, text, whole } from "../files/json-fields.js";
import type { Protocol } from "./protocol.js";

const scoreSplits: Field<Protocol["scoreSplits"]> = (value, name) =>
  typeof value === "number" ? whole(1)(value, name) : object<{ size: number }>({ size: whole(1) }, {})(value, name);

const size: Field<readonly [number, number]> = (value, name) =>
  list(whole(1), 2)(value, name) as unknown as readonly [number, number];

export const protocolFields: Field<Protocol> = object<Protocol>(
  {
    name: text,
    split: text,
    crop: oneOf("dm-crop", "none"),
    size: nullable(size),
    decoding: oneOf("pillow", "viewer"),
    rounding: oneOf("truncate-half-up", "half-even"),
    fidPipeline: oneOf("pytorch-fid", "tf1"),
    scorePipeline: oneOf("pytorch-fid", "tf1"),
    scoreSplits,
    scoreSeed: nullable(finite),
    ssimBorder: oneOf("whole", "cropped"),
    lpipsTrunk: oneOf("alex", "vgg"),
    lpipsNorm: oneOf("official-evaluation", "lpips"),
    neighbors: whole(1),
  },
  {},
);
