/**
 * Whether the other ranks are alive. MPI itself waits for a dead one for ever, and not every launcher ends the rest.
 *
 * Every rank keeps a connection to the first one. One that ends without a goodbye, or says nothing for a while (its machine is gone), is
 * lost; the first rank tells the others, and all end.
 */
import { randomBytes } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { networkInterfaces } from "node:os";

/** Seconds between signs of life, and without one after which a rank counts as lost. */
const BEAT = 2;
const SILENCE = 20;
const CONNECT_MILLISECONDS = 10_000;

type Message =
  | { readonly kind: "hello"; readonly rank: number; readonly key: string }
  | { readonly kind: "beat" | "join" | "bye" }
  | { readonly kind: "end"; readonly message: string };

export interface Meeting {
  readonly addresses: readonly string[];
  readonly port: number;
  readonly key: string;
}

export interface RankWatch {
  /** Tells the others to end, for this reason. */
  end(message: string): void;
  /** This rank leaves as planned. */
  leave(): void;
}

export interface WatchOptions {
  readonly names: readonly string[];
  /** A rank is lost or ended all: this one has to end, too. @param isShown whether this rank is the one to say so */
  readonly onEnd: (message: string, isShown: boolean) => void;
  /** Seconds without a sign of life. Default 20. */
  readonly silence?: number;
}

/** Reads and writes lines of JSON. */
function talk(socket: Socket, onMessage: (message: Message) => void): (message: Message) => void {
  let rest = "";
  socket.setEncoding("utf8").setNoDelay(true);
  socket.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onMessage(JSON.parse(line) as Message);
  });
  // What went wrong shows in "close".
  socket.on("error", () => undefined);
  return (message) => {
    if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
  };
}

/** Addresses under which others may reach this machine, its own name for itself last. */
function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outside = all.filter(({ internal, family }) => !internal && family === "IPv4");
  return [...outside.map(({ address }) => address), "127.0.0.1"];
}

/** What both ends do with a connection: signs of life, and what it means when there are none. */
function watchConnection(
  socket: Socket,
  send: (message: Message) => void,
  onLost: (how: string) => void,
  silence: number,
): { heard(): void; stop(): void } {
  let last = Date.now();
  let stopped = false;
  const timer = setInterval(
    () => {
      send({ kind: "beat" });
      if (Date.now() - last > silence * 1000) lost(`said nothing for ${silence} s`);
    },
    (BEAT * 1000 * silence) / SILENCE,
  );
  timer.unref();
  function stop(): void {
    stopped = true;
    clearInterval(timer);
  }
  function lost(how: string): void {
    if (stopped) return;
    stop();
    onLost(how);
  }
  socket.on("close", () => lost("ended without a word"));
  return {
    heard() {
      last = Date.now();
    },
    stop,
  };
}

/** The first rank's end. @returns where the others find it, and the watch */
export async function openWatch({
  names,
  onEnd,
  silence = SILENCE,
}: WatchOptions): Promise<{ readonly meeting: Meeting; readonly watch: RankWatch }> {
  const key = randomBytes(16).toString("hex");
  const others = new Map<
    number,
    { readonly socket: Socket; readonly send: (message: Message) => void; stop(): void }
  >();
  let ended = false;

  function end(message: string, isShown: boolean): void {
    if (ended) return;
    ended = true;
    for (const { send, stop } of others.values()) {
      stop();
      send({ kind: "end", message });
    }
    onEnd(message, isShown);
  }

  const server = createServer((socket) => {
    // Of the ways to here that a rank tries, it takes one and says so.
    let guest: number | undefined;
    let rank: number | undefined;
    const send = talk(socket, (message) => {
      if (message.kind === "hello" && message.key === key) {
        guest = message.rank;
        send({ kind: "beat" });
      } else if (guest === undefined) {
        socket.destroy();
      } else if (message.kind === "join") {
        const own = guest;
        rank = own;
        const connection = watchConnection(socket, send, (how) => end(`${names[own]}: ${how}`, true), silence);
        others.set(own, { socket, send, stop: connection.stop });
        socket.on("data", () => connection.heard());
      } else if (message.kind === "bye" && rank !== undefined) {
        others.get(rank)?.stop();
      } else if (message.kind === "end") {
        // Who ends all has said why.
        end(message.message, false);
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, resolve);
  });
  const { port } = server.address() as { port: number };
  return {
    meeting: { addresses: ownAddresses(), port, key },
    watch: {
      end(message) {
        for (const { send, stop } of others.values()) {
          stop();
          send({ kind: "end", message });
        }
      },
      leave() {
        ended = true;
        for (const { socket, send, stop } of others.values()) {
          stop();
          send({ kind: "bye" });
          socket.end();
        }
        server.close();
      },
    },
  };
}

/** The end of any other rank. @throws when the first rank can't be reached */
export async function joinWatch(
  { addresses, port, key }: Meeting,
  rank: number,
  { names, onEnd, silence = SILENCE }: WatchOptions,
): Promise<RankWatch> {
  let ended = false;
  const attempts: Socket[] = [];
  const socket = await Promise.any(
    addresses.map(
      (host) =>
        new Promise<Socket>((resolve, reject) => {
          const attempt = connect({ host, port });
          attempts.push(attempt);
          attempt.setTimeout(CONNECT_MILLISECONDS, () => attempt.destroy(new Error("no answer")));
          attempt.once("error", reject);
          // Another machine may have something else at this address: the first rank answers.
          const send = talk(attempt, () => {
            attempt.setTimeout(0);
            resolve(attempt);
          });
          attempt.once("connect", () => send({ kind: "hello", rank, key }));
          attempt.once("close", () => reject(new Error("closed")));
        }),
    ),
  );
  for (const attempt of attempts) if (attempt !== socket) attempt.destroy();
  socket.removeAllListeners("data").removeAllListeners("close");
  const end = (message: string, isShown: boolean) => {
    if (ended) return;
    ended = true;
    connection.stop();
    onEnd(message, isShown);
  };
  const send = talk(socket, (message) => {
    connection.heard();
    if (message.kind === "bye") connection.stop();
    else if (message.kind === "end") end(message.message, false);
  });
  // Where the first rank is lost, nobody tells the others: the second one says so.
  send({ kind: "join" });
  const connection = watchConnection(socket, send, (how) => end(`${names[0]}: ${how}`, rank === 1), silence);
  return {
    end(message) {
      connection.stop();
      send({ kind: "end", message });
    },
    leave() {
      ended = true;
      connection.stop();
      send({ kind: "bye" });
      socket.end();
    },
  };
}
