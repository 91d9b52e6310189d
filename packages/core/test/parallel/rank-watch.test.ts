/** Ranks that watch over each other by TCP, in one process. */
import { connect } from "node:net";
import { expect, test } from "vitest";
import { joinWatch, openWatch, type RankWatch } from "../../src/parallel/rank-watch.node.js";

const names = ["rank 0", "rank 1", "rank 2"];

/** Three ranks; what each hears of the end. */
async function watches(silence = 20) {
  const heard: Promise<string>[] = [];
  const listener = () => {
    let hear: (text: string) => void = () => undefined;
    heard.push(
      new Promise((resolve) => {
        hear = resolve;
      }),
    );
    return {
      names,
      silence,
      onEnd: (message: string, isShown: boolean) => hear(`${isShown ? "shown" : "not shown"}: ${message}`),
    };
  };
  const { meeting, watch } = await openWatch(listener());
  const others: RankWatch[] = [];
  for (const rank of [1, 2]) others.push(await joinWatch(meeting, rank, listener()));
  // The first rank knows of all once it has heard them.
  await new Promise((resolve) => setTimeout(resolve, 20));
  return { meeting, all: [watch, ...others] as [RankWatch, RankWatch, RankWatch], heard };
}

test("a rank that ends all tells them why, and only it says so", async () => {
  const { all, heard } = await watches();
  all[2].end("rank 2: out of memory");
  expect(await heard[0]).toBe("not shown: rank 2: out of memory");
  expect(await heard[1]).toBe("not shown: rank 2: out of memory");
  for (const watch of all) watch.leave();
});

test("a rank that says nothing any more is lost: the first one says so, and all end", async () => {
  const { meeting, all } = await watches(0.4);
  for (const watch of all) watch.leave();
  const heard = new Promise<string>((resolve) => {
    void openWatch({ names, silence: 0.4, onEnd: (message, isShown) => resolve(`${isShown}: ${message}`) }).then(
      (opened) => {
        const socket = connect(opened.meeting.port, "127.0.0.1");
        socket.write(`${JSON.stringify({ kind: "hello", rank: 1, key: opened.meeting.key })}\n`);
        socket.write(`${JSON.stringify({ kind: "join" })}\n`);
        socket.unref();
      },
    );
  });
  expect(await heard).toBe("true: rank 1: said nothing for 0.4 s");
  expect(meeting.port).toBeGreaterThan(0);
});

test("strangers are sent away", async () => {
  const { meeting, all } = await watches();
  const socket = connect(meeting.port, "127.0.0.1");
  socket.write(`${JSON.stringify({ kind: "hello", rank: 1, key: "guessed" })}\n`);
  await new Promise((resolve) => socket.once("close", resolve));
  for (const watch of all) watch.leave();
  expect(socket.destroyed).toBe(true);
});
