import { silu as siluOf, type Tensor, type Value } from "@dcae/core/graph";
import { BLOCK_TOLERANCE, expectClose, MODEL_TOLERANCE } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { runGraph } from "@dcae/test-support/run-graph";
import { describe, expect, it } from "vitest";
import { denoise } from "../../src/denoisers/denoise.js";
import { ditBlock } from "../../src/denoisers/dit.js";
import { parseOfficialDenoiser } from "../../src/denoisers/official-config.js";
import { sanaBlock } from "../../src/denoisers/sana-cls.js";
import { uvitBlock } from "../../src/denoisers/uvit.js";
import { type GoldenCase, goldenInfo, goldenNames, loadGolden } from "../support/golden.js";

const engine = useEngine();

const parse = ({ config }: GoldenCase) => parseOfficialDenoiser(config.arch, config.model).config;

describe.each(goldenNames("forward"))("%s", (name) => {
  it("gives the reference's output and hidden values", async () => {
    const golden = await loadGolden(name);
    const config = parse(golden);
    const inputs: Record<string, Tensor> = {
      x: golden.tensor("in.x"),
      t: golden.tensor("in.t"),
      ...(config.numClasses === 0 ? {} : { labels: golden.tensor("in.y") }),
    };
    const outputs = await runGraph(
      engine,
      inputs,
      (scope, values: Readonly<Record<string, Value>>) => {
        const hidden: Record<string, Value> = {};
        const { x, t, labels } = values;
        const y = denoise(scope, x as Value, t as Value, labels, config, (key, value) => {
          hidden[key] = value;
        });
        return { ...hidden, y };
      },
      golden.weights,
    );
    const expected = [...golden.tensors.keys()].filter((key) => key.startsWith("out."));
    expect(expected.length).toBeGreaterThan(0);
    for (const key of expected) {
      const actual = outputs[key.slice("out.".length)];
      expect(actual, key).toBeDefined();
      expectClose(actual!, golden.tensor(key), MODEL_TOLERANCE);
      expectGolden(golden, key, actual!);
    }
  });

  it.runIf(goldenInfo(name).config.hidden === true)("computes each block within the block tolerance", async () => {
    const golden = await loadGolden(name);
    const config = parse(golden);
    const place = (key: string) => key.slice("out.".length);
    // Keys in the order of the file: tokens first, then the blocks as they run.
    const names = blockNames(golden);
    let before = golden.tensor("out.tokens");
    const skips: Tensor[] = [];
    for (const key of names) {
      const inputs: Record<string, Tensor> =
        config.arch === "uvit"
          ? { x: before, ...(key.startsWith("out.out_blocks") ? { skip: skips.pop()! } : {}) }
          : { x: before, c: golden.tensor("out.cond") };
      const { y } = await runGraph(
        engine,
        inputs,
        (root, { x, skip, c }: Readonly<Record<string, Value>>) => {
          const scope = root.at(place(key));
          if (config.arch === "uvit") return { y: uvitBlock(scope, x!, config, skip) };
          const activated = siluOf(c!);
          return {
            y: config.arch === "dit" ? ditBlock(scope, x!, activated, config) : sanaBlock(scope, x!, activated, config),
          };
        },
        golden.weights,
      );
      expectClose(y!, golden.tensor(key), BLOCK_TOLERANCE);
      before = golden.tensor(key);
      if (key.startsWith("out.in_blocks")) skips.push(before);
    }
  });
});

function blockNames(golden: GoldenCase): string[] {
  const all = [...golden.tensors.keys()];
  const numbered = (prefix: string) =>
    all
      .filter((key) => key.startsWith(prefix))
      .sort((a, b) => Number(a.slice(prefix.length)) - Number(b.slice(prefix.length)));
  const names = [
    ...numbered("out.in_blocks."),
    ...all.filter((key) => key === "out.mid_block"),
    ...numbered("out.out_blocks."),
    ...numbered("out.blocks."),
  ];
  expect(names.length).toBeGreaterThan(0);
  return names;
}
