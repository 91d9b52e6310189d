/**
 * The samples of a shard, as WebDataset has them: all members that share the path up to the first dot of the file's own name, in
 * order of first appearance (training.md section 8). So `x.seg.png` beside `x.png` is one sample with two members.
 *
 * The reference's loader cuts at the last dot, which is the same wherever names have one.
 */
import { countLeftOut, isPictureName, type LeftOut, leftOutKind, whyIgnored } from "@dcae/core/image";
import type { PictureRecipe } from "./picture-recipe.js";

/** A member of an archive as the reader of its format found it. */
export type ShardMember = Omit<Extract<PictureRecipe, { kind: "member" }>, "kind" | "archive">;

export interface ShardSample {
  /** Path up to the first dot of the file's own name. */
  readonly key: string;
  /** By extension with its dot, as in ".png" or ".seg.png". */
  readonly members: ReadonlyMap<string, ShardMember>;
}

export interface ShardSamples {
  readonly samples: readonly ShardSample[];
  /** Hidden members, those that macOS adds, and those without ending, which belong to no sample. */
  readonly leftOut: LeftOut;
}

/** The position of the first dot of the file's own name; its end without one. */
function extensionStart(path: string): number {
  const dot = path.indexOf(".", path.lastIndexOf("/") + 1);
  return dot === -1 ? path.length : dot;
}

const isIgnored = (path: string) => path.split("/").some((part) => whyIgnored(part) !== undefined);

export function groupSamples(members: Iterable<ShardMember>): ShardSamples {
  const samples = new Map<string, Map<string, ShardMember>>();
  const leftOut = new Map<string, number>();
  for (const member of members) {
    const end = extensionStart(member.name);
    if (isIgnored(member.name) || end === member.name.length) {
      countLeftOut(leftOut, leftOutKind(member.name));
      continue;
    }
    const key = member.name.slice(0, end);
    const parts = samples.get(key) ?? new Map<string, ShardMember>();
    samples.set(key, parts);
    parts.set(member.name.slice(end), member);
  }
  return { samples: [...samples].map(([key, parts]) => ({ key, members: parts })), leftOut };
}

/**
 * The picture of a sample: the member whose extension is that of a picture alone (`x.png` before `x.seg.png`), or the only one
 * whose extension ends like it (`x.v2.png`).
 *
 * @returns undefined when there is none; several when which one is meant can't be told
 */
export function pictureOf({ members }: ShardSample): ShardMember | readonly ShardMember[] | undefined {
  const pictures = [...members].filter(([extension]) => isPictureName(`x${extension}`));
  const plain =
    pictures.find(([extension]) => !extension.includes(".", 1)) ?? (pictures.length === 1 ? pictures[0] : undefined);
  if (plain !== undefined) return plain[1];
  return pictures.length === 0 ? undefined : pictures.map(([, member]) => member);
}
