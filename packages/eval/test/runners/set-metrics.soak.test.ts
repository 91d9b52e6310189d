/** rFID and FID during a training are those of the evaluations: to pictures, and to their statistics. */
import { join } from "node:path";
import { useEngine } from "@dcae/test-support/engine";
import { writeNetworks } from "@dcae/test-support/network-weights";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, it } from "vitest";
import { resolveProtocol } from "../../src/protocols/protocol.js";
import { evaluateGeneration } from "../../src/runners/evaluate-generation.node.js";
import { computeStatistics } from "../../src/runners/extract-features.node.js";
import { openReference } from "../../src/runners/open-reference.node.js";
import { openSetMetrics } from "../../src/runners/set-metrics.node.js";
import { folderSource } from "../../src/sources/folder-source.node.js";
import { memorySource } from "../../src/sources/picture-source.js";
import { formulaPictures, writePictures } from "../support/picture-folder.js";

const engine = useEngine();
const folder = temporaryFolder();

it("FID of a training", async () => {
  const weights = await writeNetworks(folder);
  const protocol = resolveProtocol({ size: 32 });
  const reference = await writePictures(join(folder, "reference"), formulaPictures(5, 48, 32, 500));
  const out = join(folder, "reference.npz");
  await computeStatistics({ source: await folderSource(reference, { protocol }), protocol, engine, weights, out });
  const samples = Object.values(formulaPictures(5, 32, 32));
  const evaluated = await evaluateGeneration({
    ...{ samples: memorySource("samples", samples), subject: "samples", metrics: ["fid"], protocol, engine, weights },
    reference: await openReference(reference, protocol),
  });
  const expected = evaluated.metrics.fid!.value;
  for (const name of [`fid=${reference}`, `fid=${out}`]) {
    const said: string[] = [];
    const onMessage = (text: string) => said.push(text);
    const metrics = await openSetMetrics([name, "rfid"], { engine, size: 32, originals: true, weights, onMessage });
    const [made, originals] = [metrics.collect(), metrics.collect()];
    await made.add(samples);
    await originals.add(samples);
    const { fid, rfid } = await metrics.compare(made, originals);
    await metrics.close();
    expect(Math.abs((fid as number) / expected - 1), name).toBeLessThan(1e-5);
    expect(rfid).toBeLessThan(1e-6 * expected);
    // Five pictures for 2048 dimensions, and weights that aren't the published ones.
    expect(said.some((text) => text.startsWith("fid: ") && text.includes("biased"))).toBe(true);
    expect(said.some((text) => text.includes("isn't the published file"))).toBe(true);
  }
});
