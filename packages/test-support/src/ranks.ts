/** Ranks of a parallel run as tasks of one process: a communicator for each, without MPI. */
import { type Communicator, createCommunicator, RankError, type Transport } from "@dcae/core/internal";

interface Blocks {
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly count: number;
}

interface Arrival {
  readonly kind: string;
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
  /** Of an exchange: where blocks begin, and their length. */
  readonly blocks?: Blocks;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** What a collective call does once all ranks have come to it. */
const deliver: Readonly<Record<string, (all: readonly Arrival[]) => void>> = {
  exchange(all) {
    for (const [to, { receive, blocks: own }] of all.entries()) {
      for (const [from, { send, blocks: theirs }] of all.entries()) {
        if (from === to) continue;
        const start = theirs?.from[to] as number;
        receive.set(send.subarray(start, start + (theirs?.count as number)), own?.to[from]);
      }
    }
  },
  allGather(all) {
    for (const { receive } of all) for (const [from, { send }] of all.entries()) receive.set(send, from * send.length);
  },
  broadcast(all) {
    for (const { receive } of all.slice(1)) receive.set((all[0] as Arrival).send);
  },
  wait() {},
};

const NOTHING: Uint8Array = new Uint8Array();

/** A communicator for each of `size` ranks. A rank that aborts ends the waiting of all others with its error. */
export function createRanks(size: number): Communicator[] {
  let arrived: (Arrival | undefined)[] = [];
  let ended: RankError | undefined;
  const names = Array.from({ length: size }, (_, rank) => `rank ${rank}`);

  function call(rank: number, kind: string, send = NOTHING, receive = NOTHING, blocks?: Blocks): Promise<void> {
    return new Promise((resolve, reject) => {
      if (ended !== undefined) return reject(ended);
      arrived[rank] = { kind, send, receive, ...(blocks === undefined ? {} : { blocks }), resolve, reject };
      const all = Array.from({ length: size }, (_, i) => arrived[i]);
      if (!all.every((arrival) => arrival !== undefined)) return;
      arrived = [];
      const wrong = all.find((arrival) => arrival.kind !== (all[0] as Arrival).kind);
      if (wrong === undefined) deliver[kind]?.(all);
      for (const arrival of all) {
        if (wrong === undefined) arrival.resolve();
        else arrival.reject(new Error(`one rank calls ${wrong.kind}, another ${(all[0] as Arrival).kind}`));
      }
    });
  }

  return names.map((_, rank) => {
    const transport: Transport = {
      rank,
      size,
      exchange: (send, from, receive, to, count) => call(rank, "exchange", send, receive, { from, to, count }),
      allGather: (send, receive) => call(rank, "allGather", send, receive),
      broadcast: (bytes) => call(rank, "broadcast", bytes, bytes),
      wait: () => call(rank, "wait"),
    };
    return createCommunicator(transport, {
      names,
      async abort(message) {
        ended = new RankError(message, rank);
        for (const arrival of arrived) arrival?.reject(ended);
        throw ended;
      },
      close: () => call(rank, "wait"),
    });
  });
}

/** Runs `work` on `size` ranks at once. @returns what each gives, in their order */
export function onRanks<T>(size: number, work: (ranks: Communicator) => Promise<T>): Promise<T[]> {
  return Promise.all(createRanks(size).map(work));
}
