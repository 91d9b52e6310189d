/** The process of one measurement: takes a task from its parent, sends a measurement or a problem, and ends. */
import { errorMessage } from "@dcae/core/graph";
import { type BenchTask, runBenchCase } from "./run-bench-case.node.js";

process.once("message", async (task: BenchTask) => {
  let answer: object;
  try {
    answer = { measurement: await runBenchCase(task) };
  } catch (error) {
    answer = { problem: errorMessage(error) };
  }
  process.send?.(answer, () => process.disconnect());
});
