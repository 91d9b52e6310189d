/** Commands as one rank of several, before the ranks know of each other. */
import { afterEach, expect, test, vi } from "vitest";
import { cli } from "./support/cli.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

function asRank(rank: number, ...argv: string[]) {
  vi.stubEnv("OMPI_COMM_WORLD_RANK", String(rank));
  vi.stubEnv("OMPI_COMM_WORLD_SIZE", "2");
  return cli(argv);
}

test.each([
  ["an unknown option", ["train", "--parallel", "mpi", "--unknown"]],
  ["another way of being parallel", ["train", "--parallel=threads"]],
  ["options that don't go together", ["train", "--parallel", "mpi", "--engine", "tfjs", "--threads", "2"]],
])("what makes no sense is said by the first rank alone: %s", async (_, argv) => {
  const [first, second] = [await asRank(0, ...argv), await asRank(1, ...argv)];
  expect(first.status).toBe(2);
  expect(first.stderr).toMatch(/^dcae: .+\n$/);
  expect(second.status).toBe(2);
  expect(second.stderr).toBe("");
});

test("without --parallel every process speaks for itself", async () => {
  const { status, stderr } = await asRank(1, "train", "--unknown");
  expect(status).toBe(2);
  expect(stderr).toMatch(/^dcae: train: /);
});
