/**
 * Models that come as two files, an encoder and a decoder (`taesd_encoder.pth`, `taesd_decoder.pth`), as one set of weights.
 */
import { closeAll, failClosed } from "../runtime/close-all.js";
import type { Weights } from "./weights.js";

const PARTS = ["encoder", "decoder"] as const;

/** The files of a model's halves; one may lack. */
export interface Halves {
  /** What stands before `_encoder` and `_decoder`. */
  readonly stem: string;
  readonly encoder?: string | undefined;
  readonly decoder?: string | undefined;
}

/** The models among files that come as halves: of one stem and ending. */
export function findHalves(fileNames: readonly string[]): Halves[] {
  const found = new Map<string, { stem: string; encoder?: string; decoder?: string }>();
  for (const name of [...fileNames].sort()) {
    const [, stem, part, ending] = /^(.+)_(encoder|decoder)(\.pth|\.pt|\.safetensors)$/.exec(name) ?? [];
    if (stem === undefined) continue;
    const halves = found.get(`${stem}${ending}`) ?? { stem };
    found.set(`${stem}${ending}`, { ...halves, [part as "encoder"]: name });
  }
  return [...found.values()];
}

/**
 * Both halves as one set of weights, under the names of the files with the part in front: `encoder.0.weight`.
 *
 * @param open opens one file
 */
export async function openHalves(
  files: { readonly encoder: string; readonly decoder: string },
  open: (path: string) => Promise<Weights>,
): Promise<Weights> {
  const encoder = await open(files.encoder);
  let decoder: Weights;
  try {
    decoder = await open(files.decoder);
  } catch (error) {
    return failClosed(error, [() => encoder.close()]);
  }
  const halves = { encoder, decoder };
  const entries = PARTS.flatMap((part) =>
    [...halves[part].entries].map(([name, entry]) => {
      const prefixed = `${part}.${name}`;
      return [prefixed, { ...entry, name: prefixed }] as const;
    }),
  );
  return {
    source: `${files.encoder} and ${files.decoder}`,
    entries: new Map(entries),
    close: () => closeAll([() => encoder.close(), () => decoder.close()]),
  };
}
