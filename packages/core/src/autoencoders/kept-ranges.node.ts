/** Ranges of activations in the folder that keeps what is computed from weights, found by the content of both. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../checkpoint/atomic-file.node.js";
import type { Weights } from "../checkpoint/weights.js";
import type { ActivationRanges, ConvRanges } from "../graph/rewrite/quantize.js";
import type { Tensor } from "../graph/tensor.js";
import type { AutoencoderConfig } from "../models/family.js";
import { openCacheFolder } from "../runtime/file-facts.node.js";
import { weightIdentities } from "../runtime/kept-constants.node.js";

/** Changes when ranges are observed or described in another way. */
const FORMAT = 1;

export interface RangesSource {
  readonly config: AutoencoderConfig;
  readonly weights: Weights;
  readonly pictures: readonly Tensor[];
}

const isRange = (value: unknown) => Array.isArray(value) && value.length === 2 && value.every(Number.isFinite);

function parseRanges(text: string): ActivationRanges | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return undefined;
  const entries = Object.entries(parsed as Record<string, Partial<ConvRanges> | null>);
  const whole = entries.length > 0 && entries.every(([, entry]) => isRange(entry?.input) && isRange(entry?.output));
  return whole ? (parsed as ActivationRanges) : undefined;
}

/**
 * What `observe` gave for these weights and pictures before, or gives now. A damaged file is written again.
 *
 * @throws DataError when the folder can't be used
 */
export async function keepRanges(
  folder: string,
  { config, weights, pictures }: RangesSource,
  observe: () => Promise<ActivationRanges>,
): Promise<ActivationRanges> {
  const { path: home, facts } = await openCacheFolder(folder);
  const identity = weightIdentities(weights, facts);
  const hash = createHash("sha256").update(`ranges ${FORMAT}\n${JSON.stringify(config)}\n`);
  for (const name of [...weights.entries.keys()].sort()) hash.update(`${name} ${await identity(name)}\n`);
  for (const { shape, bytes } of pictures) hash.update(`[${shape.join()}]`).update(bytes);
  await facts.save();
  const path = join(home, `ranges-${hash.digest("hex")}.json`);
  const known = parseRanges(await readFile(path, "utf8").catch(() => ""));
  if (known !== undefined) return known;
  const ranges = await observe();
  await writeFileAtomic(path, (file) => file.write(Buffer.from(JSON.stringify(ranges))));
  return ranges;
}
