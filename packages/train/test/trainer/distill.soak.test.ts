/** Distillations that learn for a while, or are stopped and go on. */
import { join } from "node:path";
import { AutoencoderDC } from "@dcae/core";
import { initialWeights } from "@dcae/core/checkpoint";
import { saveCheckpoint } from "@dcae/core/internal";
import { modelParameters } from "@dcae/core/models";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test } from "vitest";
import { readMetrics } from "../../src/logging/metrics-log.js";
import { architecture, distilled, GAUSSIAN, OTHER, saveTeacher, TEACHER } from "../support/teachers.js";
import { TINY_MODEL } from "../support/tiny-training.js";
import { expectSameBits, train } from "../support/train.js";

const folder = temporaryFolder();
const engine = useEngine();
beforeAll(() => Promise.all([GAUSSIAN, OTHER].map((model) => saveTeacher(folder, model))));

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

test("an encoder and a decoder for the latents of another family, in the scale that was asked for", async () => {
  const config = distilled(folder, OTHER, TINY_MODEL, {
    trains: ["encoder", "decoder"],
    steps: 40,
    scalingFactor: 0.25,
  });
  const { results } = await train(engine, join(folder, "both"), config);
  const rows = (await readMetrics(join(results[0]!.directory, "metrics.jsonl"))).filter((row) => "latent" in row);
  expect(rows).toHaveLength(40);
  const first = meanOf(rows.slice(0, 5).map(({ latent }) => latent as number));
  expect(meanOf(rows.slice(-5).map(({ latent }) => latent as number))).toBeLessThan(first);
  const student = await AutoencoderDC.fromPretrained(results[0]!.model!, { device: "cpu" });
  expect([student.scalingFactor, student.shiftFactor]).toEqual([0.25, 0]);
  await student.dispose();
});

test("a stopped distillation with its head's phase goes on with the same bits", async () => {
  const config = distilled(folder, GAUSSIAN, TINY_MODEL, {
    ...{ trains: ["encoder", "decoder"], steps: 3, decodesWeight: 0.5, gan: true, size: 32 },
  });
  const [first, head] = config.phases;
  const phases = [first!, { ...head!, steps: 2, gan: { ...head!.gan!, width: 4, layers: 2 } }];
  await expectSameBits(engine, join(folder, "stopped"), { ...config, phases });
});

test("a decoder whose encoder hasn't trained is evaluated by the teacher's latents: no encoder's noise is in its figures", async () => {
  const student = { ...TEACHER, config: architecture(TINY_MODEL) };
  const fresh = initialWeights(modelParameters(student), 5);
  const others = initialWeights(modelParameters(student), 6);
  const encoders = [...others.entries].filter(([name]) => name.startsWith("encoder."));
  const starts = [fresh, { ...fresh, entries: new Map([...fresh.entries, ...encoders]) }];
  const evaluated = async (weights: typeof fresh, i: number, order: ("encoder" | "decoder")[]) => {
    const init = join(folder, `start-${i}`);
    await saveCheckpoint(student, weights, init, { overwrite: true });
    const config = distilled(folder, OTHER, TINY_MODEL, { trains: ["encoder", "decoder"], steps: 2 });
    const phases = order.map((name) => ({
      ...config.phases[0]!,
      name,
      trains: { kind: "names" as const, names: [name] },
    }));
    const { results, messages } = await train(engine, join(folder, `order-${i}-${order.join()}`), {
      ...config,
      init,
      phases,
    });
    const rows = await readMetrics(join(results[order.indexOf("decoder")]!.directory, "metrics.jsonl"));
    return { psnr: rows.filter((row) => "eval_psnr" in row).map((row) => row.eval_psnr), messages };
  };
  for (const order of [["decoder", "encoder"], ["decoder"]] as ("encoder" | "decoder")[][]) {
    const first = await Promise.all(starts.map((weights, i) => evaluated(weights, i, order)));
    expect(first[0]!.psnr.length).toBeGreaterThan(0);
    expect(first[1]!.psnr).toEqual(first[0]!.psnr);
    expect(first[0]!.messages.filter((text) => text.includes("by the teacher's latents"))).toHaveLength(1);
  }
  const last = await Promise.all(starts.map((weights, i) => evaluated(weights, i, ["encoder", "decoder"])));
  expect(last[1]!.psnr).not.toEqual(last[0]!.psnr);
});
