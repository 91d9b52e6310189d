/** Commands about sets of pictures, with the FID network at full size and weights by formula. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { readResult, readStatistics, writeResult } from "@dcae/eval";
import { writeNpz } from "@dcae/eval/internal";
import { writeNetworks } from "@dcae/test-support/network-weights";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { Interrupted } from "../../src/errors.js";
import { cli, failWith, succeed } from "../support/cli.js";
import { makePicture } from "../support/pictures.js";
import { makeDenoiser } from "../support/tiny-denoisers.js";
import { makeModel } from "../support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
process.env.XDG_CACHE_HOME = at("no-cache");
process.env.TORCH_HOME = at("no-torch");

const weights = ["--weights", folder];
const few = /images for 2048 dimensions: the covariance is singular and the distance is biased/;

beforeAll(async () => {
  await writeNetworks(folder);
  for (const [set, first] of [
    ["photos", 0],
    ["samples", 2],
  ] as const) {
    mkdirSync(at(set));
    for (let seed = first; seed < first + 4; seed++) await makePicture(at(set), `${seed}.png`, 40, 40, seed);
  }
});

describe("dcae eval stats and merge", () => {
  test("shards merge to the statistics of the whole", async () => {
    const text = await succeed("eval", "stats", at("photos"), ...weights, "--size", "32", "-o", at("whole.npz"));
    expect(text).toMatch(/whole\.npz: mean and covariance of 4 pictures$/m);
    expect(text).toMatch(/^warning: 4 pictures give a singular covariance of 2048 dimensions/m);
    expect(text).toMatch(/^size +32x32$/m);
    // As another machine has them.
    cpSync(at("photos"), at("copy"), { recursive: true });
    const sources = { 1: at("photos"), 2: at("copy") };
    for (const [number, source] of Object.entries(sources)) {
      const argv = ["eval", "stats", source, ...weights, "--size", "32", "--shard", `${number}/2`, "--json"];
      const facts = JSON.parse(await succeed(...argv, "-o", at(`${number}.npz`)));
      expect(facts).toMatchObject({
        count: 2,
        shard: `${number}/2`,
        sizes: { "32x32": 2 },
        protocol: { name: "dc-ae" },
      });
    }
    const merged = await succeed("eval", "merge", at("2.npz"), at("1.npz"), "-o", at("merged.npz"));
    expect(merged).toMatch(/merged\.npz: mean and covariance of 4 pictures, shards 2\/2, 1\/2$/m);
    const [a, b] = [await readStatistics(at("whole.npz")), await readStatistics(at("merged.npz"))];
    expect(b.info?.set).toBe(a.info?.set);
    expect(b.statistics.mean).toEqual(a.statistics.mean);
    expect(b.statistics.covariance).toEqual(a.statistics.covariance);
    expect(existsSync(at("whole.npz.parts"))).toBe(false);
  });

  test("tasks of an array have one command line, and who comes again finds its shard done", async () => {
    const out = at("part-%i-of-%n.npz");
    const argv = ["eval", "stats", at("photos"), ...weights, "--size", "32", "-o", out, "--json"];
    const facts: unknown[] = [];
    try {
      for (const index of ["0", "1", "1"]) {
        vi.stubEnv("JOB_COMPLETION_INDEX", index).stubEnv("JOB_COMPLETIONS", "2");
        facts.push(JSON.parse(await succeed(...argv, "--shard", "auto")));
      }
      const one = argv.map((word) => (word === out ? at("one.npz") : word));
      expect(await failWith(2, ...one, "--shard", "auto")).toContain(
        "with --shard auto all processes would write this file",
      );
    } finally {
      vi.unstubAllEnvs();
    }
    expect(facts).toMatchObject([1, 2, 2].map((i) => ({ out: at(`part-${i}-of-2.npz`), count: 2, shard: `${i}/2` })));
    expect(facts[2]).toMatchObject({ networks: [] });
    await succeed("eval", "merge", at("part-1-of-2.npz"), at("part-2-of-2.npz"), "-o", at("array.npz"));
    expect((await readStatistics(at("array.npz"))).statistics.mean).toEqual(
      (await readStatistics(at("whole.npz"))).statistics.mean,
    );
  });

  test("an incomplete merge is said, a part that is there twice refused, and no input is replaced", async () => {
    const third = ["eval", "stats", at("photos"), ...weights, "--size", "32", "--limit", "3", "--shard", "1/1"];
    await succeed(...third, "-o", at("other.npz"));
    expect(await failWith(1, "eval", "merge", at("1.npz"), at("other.npz"), "-o", at("x.npz"))).toMatch(
      /differ in their picture files, they are no shards of one set/,
    );
    expect(await failWith(1, "eval", "merge", at("1.npz"), at("merged.npz"), "-o", at("x.npz"))).toMatch(
      /merged\.npz has shard 1 of 2, which is in another file already/,
    );
    expect(await failWith(2, "eval", "merge", at("1.npz"), at("2.npz"), "-o", at("1.npz"))).toMatch(
      /1\.npz: is one of the files to merge/,
    );
    expect(existsSync(at("x.npz"))).toBe(false);
    for (const i of [1, 3]) {
      await succeed(
        "eval",
        "stats",
        at("photos"),
        ...weights,
        "--size",
        "32",
        "--shard",
        `${i}/4`,
        "-o",
        at(`q${i}.npz`),
      );
    }
    expect(await succeed("eval", "merge", at("q1.npz"), at("q3.npz"), "-o", at("half.npz"))).toContain(
      "50.0 % of the set is in none of these files (shard 2/4, 4/4)",
    );
  });

  test("a shard that doesn't exist, an ending that is none, missing weights", async () => {
    const stats = (...argv: string[]) => ["eval", "stats", at("photos"), ...argv];
    expect(await failWith(2, ...stats("-o", at("s.npz"), "--shard", "0/2"))).toContain("1/4 is the first of four");
    expect(await failWith(2, ...stats("-o", at("s.json")))).toContain("give a name that ends with .npz");
    const line = await failWith(1, ...stats("-o", at("s.npz")));
    expect(line).toMatch(/weights of the FID Inception aren't here .*Download https:/);
  });
});

describe("dcae eval generation", () => {
  test("everything that can be computed, with a report, and the rest by name", async () => {
    const argv = ["--images", at("samples"), "--reference", at("photos"), "--size", "32", ...weights];
    const text = await succeed("eval", "generation", ...argv, "-o", at("direct"));
    expect(text).toMatch(/^.*samples: 4 pictures, compared with .*photos$/m);
    for (const label of ["FID", "sFID", "Precision", "Recall"]) expect(text).toMatch(new RegExp(`^${label} +\\d`, "m"));
    expect(text).toMatch(
      /^Inception score {2}not computed: 4 pictures can't be cut into the 10 parts of the protocol$/m,
    );
    expect(text).toMatch(/^CMMD +not computed: the weights of the CLIP/m);
    expect(text).toMatch(few);
    const report = readFileSync(at("direct", "report.html"), "utf8");
    expect(report.match(/alt="sample"/g)).toHaveLength(4);
  });

  test("statistics give the FID of their pictures, and the two results compare", async () => {
    const argv = ["--images", at("samples"), "--reference", at("merged.npz"), "--size", "32", ...weights];
    await succeed("eval", "generation", ...argv, "--metrics", "fid", "-o", at("by-statistics"));
    const [a, b] = [
      await readResult(at("direct", "result.json")),
      await readResult(at("by-statistics", "result.json")),
    ];
    const fid = a.metrics.fid?.value ?? Number.NaN;
    expect(Math.abs((b.metrics.fid?.value ?? Number.NaN) - fid)).toBeLessThanOrEqual(1e-4 * fid);
    const compared = await succeed("eval", "compare", at("direct"), at("by-statistics"));
    expect(compared).toMatch(/^FID .* baseline$/m);
    expect(compared).toMatch(/ (equal|better|worse)$/m);
  });

  test("a diffusion model is sampled for random classes", async () => {
    await makeModel(folder, "autoencoder");
    const model = await makeDenoiser(folder, "uvit", { autoencoder: "../autoencoder" });
    const sampled = ["--count", "12", "--steps", "3", "--cfg", "2", "--seed", "3", "--sampling-batch", "5"];
    const argv = ["eval", "generation", "-m", model, ...sampled, ...weights, "--metrics", "is", "-o"];
    const text = await succeed(...argv, at("sampled"));
    expect(text).toMatch(/uvit: 12 pictures of samples of /);
    expect(text).toMatch(/^Inception score {2}[\d.]+ +std/m);
    expect(text).toMatch(/^guidance +2$/m);
    const result = await readResult(at("sampled", "result.json"));
    expect(result.pictures).toMatchObject({ count: 12, sizes: { "16x16": 12 } });
    expect(result.settings).toMatchObject({ guidance: 2, steps: 3, seed: "3", classes: "all" });
    const shard = (name: string) => succeed(...argv, at("sampled-in-shards"), "--shard", name, "--json");
    expect(JSON.parse(await shard("2/2"))).toMatchObject({ missingShards: ["1/2"] });
    const shared = JSON.parse(await shard("1/2"));
    expect(shared.metrics).toEqual(JSON.parse(JSON.stringify(result.metrics)));
  });

  test("the guidance scale of the smallest FID is searched, and reported as if it had been given", async () => {
    const model = await makeDenoiser(folder, "searched", { autoencoder: "../autoencoder", noisy: true });
    const argv = [
      "-m",
      model,
      "--count",
      "4",
      "--steps",
      "3",
      "--reference",
      at("samples"),
      ...weights,
      "--metrics",
      "fid",
    ];
    const { status, stderr } = await cli([
      ...["eval", "generation", ...argv, "--search-cfg", "fid", "--cfg-grid", "1,2,4", "-o", at("search")],
    ]);
    expect(status).toBe(0);
    const { metric, best, tried } = JSON.parse(readFileSync(at("search", "search.json"), "utf8"));
    expect([metric, tried.map(({ scale }: { readonly scale: number }) => scale)]).toEqual(["fid", [1, 2, 4]]);
    for (const { scale } of tried) expect(stderr).toContain(`guidance ${scale}: FID `);
    const distances = tried.map(({ distance }: { readonly distance: number }) => distance);
    expect(best).toBe(tried[distances.indexOf(Math.min(...distances))].scale);
    const reported = await readResult(at("search", "result.json"));
    expect(reported.metrics.fid?.value).toBe(Math.min(...distances));
    expect(reported.settings).toMatchObject({ guidance: best });
    expect(existsSync(at("search", "parts"))).toBe(false);

    // Stopped behind the second scale: what was measured isn't measured again, and the search ends with the same numbers.
    const search = [
      ...["eval", "generation", ...argv],
      "--search-cfg",
      "fid",
      "--cfg-grid",
      "1,2,4",
      "-o",
      at("stopped"),
    ];
    const controller = new AbortController();
    const stopped = await cli(search, {
      signal: controller.signal,
      onTerminal: (text) => {
        if (text.includes("guidance 2: FID")) controller.abort(new Interrupted("SIGTERM"));
      },
    });
    expect(stopped.status).toBe(143);
    expect(existsSync(at("stopped", "search.json"))).toBe(false);
    expect(readdirSync(at("stopped", "parts"))).toEqual(expect.arrayContaining(["cfg-1", "cfg-2"]));
    const again = await cli(search);
    // Samples and reference of both scales.
    expect([again.status, again.stderr.match(/done by an earlier run/g)?.length]).toEqual([0, 4]);
    expect(readFileSync(at("stopped", "search.json"), "utf8")).toBe(readFileSync(at("search", "search.json"), "utf8"));
    expect((await readResult(at("stopped", "result.json"))).metrics).toEqual(reported.metrics);
    expect(existsSync(at("stopped", "parts"))).toBe(false);
    await cli(["eval", "generation", ...argv, "--cfg", String(best), "-o", at("given")]);
    expect((await readResult(at("given", "result.json"))).metrics.fid?.value).toBe(Math.min(...distances));
  });

  test("a reference of other dimensions is refused before any work, as are files that are no reference", async () => {
    const eye = Float64Array.from({ length: 9 }, (_, i) => (i % 4 === 0 ? 1 : 0));
    const mu = new Tensor("float64", new Float64Array(3), [3]);
    await writeNpz(at("small.npz"), { mu, sigma: new Tensor("float64", eye, [3, 3]) });
    await writeNpz(at("features.npz"), { features: Tensor.zeros([2, 3]) });
    writeFileSync(at("junk.npz"), "no archive");
    mkdirSync(at("nothing"));
    const fail = (reference: string) => {
      const argv = ["--images", at("samples"), "--reference", at(reference), ...weights, "-o", at("refused")];
      return failWith(1, "eval", "generation", ...argv);
    };
    expect(await fail("small.npz")).toMatch(/its statistics have 3 dimensions, the features here have 2048/);
    expect(await fail("features.npz")).toMatch(/has no "mu" and "sigma", only features/);
    expect(await fail("junk.npz")).toMatch(/not a readable zip archive/);
    expect(await fail("nothing")).toMatch(/there are no pictures in it/);
    expect(await fail("absent")).toMatch(/--reference .*absent: no such folder or file/);
  });

  test("without a reference there is the inception score; what was asked for and is missing gives exit status 1", async () => {
    const argv = ["--images", at("samples"), ...weights, "--metrics", "fid", "-o", at("alone")];
    const { status, stderr } = await cli(["eval", "generation", ...argv]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^dcae: not computed: FID: there is no reference to compare with/);
    // A report without a number would look like an evaluation.
    expect(readdirSync(at("alone"))).toEqual([]);
    const nothing = ["--images", at("samples"), "--weights", at("nothing"), "-o", at("alone")];
    expect(await failWith(1, "eval", "generation", ...nothing)).toMatch(/nothing could be computed: .* aren't here/);
    expect(readdirSync(at("alone"))).toEqual([]);
  });
});

describe("dcae eval compare", () => {
  test("refuses what means nothing, with the reason and exit status 1", async () => {
    const result = await readResult(at("direct", "result.json"));
    const other = { ...result, reference: { name: "others", fingerprint: "of others", unusable: 0 } };
    await writeResult(at("others.json"), other);
    const { status, stdout, stderr } = await cli(["eval", "compare", at("direct"), at("others.json")]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^FID of .*direct and .*others\.json: the references differ$/m);
    expect(stderr).toMatch(/^dcae: 4 values can't be compared\./);
    const { metrics } = JSON.parse((await cli(["eval", "compare", at("direct"), at("others.json"), "--json"])).stdout);
    expect(metrics[0].values[1]).toMatchObject({ refused: ["the references differ"] });
  });

  test("needs results", async () => {
    writeFileSync(at("empty.json"), "{}");
    expect(await failWith(1, "eval", "compare", at("direct"), at("empty.json"))).toMatch(
      /isn't a result of an evaluation/,
    );
    expect(await failWith(1, "eval", "compare", at("direct"))).toMatch(/needs at least two results/);
  });
});

describe("dcae eval weights", () => {
  test("says what is here, what isn't the published file, and where the rest comes from", async () => {
    writeFileSync(at("vgg16-397923af.pth"), "another file of this name");
    const text = await succeed("eval", "weights", ...weights);
    expect(text).toMatch(/^FID Inception \(rFID, FID, .*\n {2}here: .*inception\.safetensors\n {2}converted/m);
    expect(text).toMatch(/^VGG16 trunk \(LPIPS\)\n {2}here: .*\n {2}NOT the published file/m);
    expect(text).toMatch(/^CLIP .*\n {2}missing: .*, or set DCAE_CLIP\n {2}https:/m);
    expect(text).toContain(`Put downloads into ${at("no-cache", "dcae", "metrics")}`);
    const { files } = JSON.parse(await succeed("eval", "weights", "--json"));
    expect(files.every(({ path }: { path?: string }) => path === undefined)).toBe(true);
  });
});
