/** Commands about sets of pictures: what is refused before any network runs. */
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, test } from "vitest";
import { decodingSettings } from "../../src/commands/eval/generation.js";
import { failWith } from "../support/cli.js";

const folder = temporaryFolder();

describe("dcae eval generation", () => {
  test("options that have no effect, and a choice that is missing", async () => {
    const fail = (...argv: string[]) => failWith(2, "eval", "generation", ...argv);
    expect(await fail()).toContain("give --images or --model");
    expect(await fail("--images", "a", "-m", "b")).toContain("--images and --model exclude each other");
    expect(await fail("--images", "a", "--steps", "3")).toContain("--steps has no effect without --model");
    expect(await fail("--images", "a", "--count", "50000")).toContain("--count has no effect without --model");
    expect(await fail("--images", "a", "--shift-factor", "1")).toContain(
      "--shift-factor has no effect without --model",
    );
    expect(await fail("-m", "b", "--dtype", "float16", "--optimize", "-o", join(folder, "out"))).toContain(
      "--optimize: it has no effect with dtype float16",
    );
    expect(await fail("--images", "a", "--search-cfg", "fid")).toContain("--search-cfg has no effect without --model");
    expect(await fail("-m", "b", "--cfg-grid", "1,2")).toContain("--cfg-grid has no effect without --search-cfg");
    expect(await fail("-m", "b", "--search-cfg", "fid")).toContain("--search-cfg needs --reference");
    const search = ["-m", "b", "--search-cfg", "fid", "--reference", "r.npz"];
    expect(await fail(...search, "--cfg", "2")).toContain("--cfg and --search-cfg exclude each other");
    expect(await fail(...search, "--metrics", "sfid,is")).toContain("--search-cfg fid: isn't among --metrics");
    expect(await fail("-m", "b", "--limit", "3")).toContain("--limit has no effect without --images");
    expect(await fail("-m", "b", "--guidance-channels", "3")).toContain("no effect without guidance");
  });

  test("everything that decides samples counts when a run goes on", () => {
    const plain = decodingSettings({ device: "cpu" }, { kind: "plain", packWeights: false });
    expect(plain).toEqual(["cpu", "float32"]);
    expect(decodingSettings({ device: "cpu", scalingFactor: 0.5, shiftFactor: -1 }, { kind: "fast" })).toEqual([
      "cpu",
      "float32",
      "optimized graph",
      "scaling factor 0.5",
      "shift factor -1",
    ]);
  });

  test("a picture folder that isn't there", async () => {
    const argv = ["--images", "/nowhere/samples", "--size", "32", "-o", "/nowhere/out"];
    expect(await failWith(1, "eval", "generation", ...argv)).toMatch(/no such folder or file/);
  });
});

describe("dcae eval stats", () => {
  test("a shard that doesn't exist, an ending that is none", async () => {
    const stats = (...argv: string[]) => ["eval", "stats", "/nowhere", ...argv];
    expect(await failWith(2, ...stats("-o", "/nowhere/s.npz", "--shard", "0/2"))).toContain("1/4 is the first of four");
    expect(await failWith(2, ...stats("-o", "/nowhere/s.json"))).toContain("give a name that ends with .npz");
  });
});

describe("dcae eval compare", () => {
  test("a result that is not there", async () => {
    expect(await failWith(1, "eval", "compare", "/nowhere/a.json")).toContain(
      "/nowhere/a.json: can't read: no such file or folder",
    );
  });
});
