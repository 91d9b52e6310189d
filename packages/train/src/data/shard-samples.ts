/**
 * The samples of a shard: all members that share the path up to the last dot, in order of first appearance (training.md section 8).
 * WebDataset itself cuts at the first dot; both agree where names have one.
 */
import type { PictureRecipe } from "./picture-recipe.js";

/** A member of an archive as the reader of its format found it. */
export type ShardMember = Omit<Extract<PictureRecipe, { kind: "member" }>, "kind" | "archive">;

export interface ShardSample {
  /** Path without the last extension. */
  readonly key: string;
  /** By extension with its dot, as in ".png". */
  readonly members: ReadonlyMap<string, ShardMember>;
}

/** The position of the last dot of the file's own name; its end without one. */
function extensionStart(path: string): number {
  const dot = path.lastIndexOf(".");
  return dot > path.lastIndexOf("/") ? dot : path.length;
}

export function groupSamples(members: Iterable<ShardMember>): ShardSample[] {
  const samples = new Map<string, Map<string, ShardMember>>();
  for (const member of members) {
    const end = extensionStart(member.name);
    const key = member.name.slice(0, end);
    const parts = samples.get(key) ?? new Map<string, ShardMember>();
    samples.set(key, parts);
    parts.set(member.name.slice(end), member);
  }
  return [...samples].map(([key, parts]) => ({ key, members: parts }));
}
