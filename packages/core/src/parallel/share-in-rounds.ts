/** Tensors that single ranks made, brought to all. */
import type { Communicator } from "./communicator.js";

/** What is shared: items that all ranks list in the same order, each of which one rank has. */
export interface SharedItems<T> {
  readonly items: readonly T[];
  /** The rank that has an item. @param i its position in `items` */
  ownerOf(item: T, i: number): number;
  /** Elements of it. */
  sizeOf(item: T): number;
  /** An own item's elements. */
  read(item: T): Float32Array | Promise<Float32Array>;
  /** Puts another rank's item where it belongs. */
  write(item: T, data: Float32Array): void | Promise<void>;
}

/** Every rank gets the items of the others, one of each rank at a time: all at once would take the memory of all. */
export async function shareInRounds<T>(ranks: Communicator, shared: SharedItems<T>): Promise<void> {
  const { items } = shared;
  const lists = ranks.names.map((_, rank) => items.filter((item, i) => shared.ownerOf(item, i) === rank));
  const count = Math.max(...lists.map((list) => list.length));
  for (let i = 0; i < count; i++) {
    const round = lists.map((list) => list[i]);
    const sizes = round.map((item) => (item === undefined ? 0 : shared.sizeOf(item)));
    const length = Math.max(...sizes);
    const all = new Float32Array(length * ranks.size);
    const mine = round[ranks.rank];
    if (mine !== undefined) all.set(await shared.read(mine), ranks.rank * length);
    await ranks.shareBlocks(all);
    for (const [owner, item] of round.entries()) {
      if (item === undefined || owner === ranks.rank) continue;
      const start = owner * length;
      await shared.write(item, all.subarray(start, start + (sizes[owner] as number)));
    }
  }
}
