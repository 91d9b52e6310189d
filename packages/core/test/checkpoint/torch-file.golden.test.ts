/** Files written by PyTorch 2.13 in both layouts: every tensor as PyTorch sees it, and nothing executed. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openTorchFile } from "../../src/checkpoint/open-model.node.js";
import type { Weights } from "../../src/checkpoint/weights.js";

const golden = (name: string) => fileURLToPath(new URL(`../golden/torch/${name}`, import.meta.url));

interface Expected {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

async function valuesOf(weights: Weights, name: string): Promise<number[]> {
  const entry = weights.entries.get(name);
  if (entry === undefined) throw new Error(`no tensor ${name} among ${[...weights.entries.keys()].join(", ")}`);
  return Array.from((await entry.read()).cast("float64").data, Number);
}

describe.each(["zip", "legacy"])("torch.save, %s layout", (layout) => {
  it("reads every dtype, strided views and shared storages", async () => {
    const expected = JSON.parse(readFileSync(golden("state-dict.json"), "utf8")) as Record<string, Expected>;
    const weights = await openTorchFile(golden(`state-dict.${layout}.pth`));
    expect([...weights.entries.keys()]).toEqual(Object.keys(expected));
    for (const [name, { shape, values }] of Object.entries(expected)) {
      expect(weights.entries.get(name)?.shape, name).toEqual(shape);
      expect(await valuesOf(weights, name), name).toEqual(values);
    }
    const dtypes = [...weights.entries.values()].map(({ dtype }) => dtype);
    expect(new Set(dtypes)).toEqual(
      new Set(["float32", "int64", "float64", "float16", "bfloat16", "int32", "int16", "int8", "uint8", "bool"]),
    );
    await weights.close();
  });

  it("says where contiguous tensors lie, so that an engine can map them", async () => {
    const path = golden(`state-dict.${layout}.pth`);
    const weights = await openTorchFile(path);
    const location = weights.entries.get("conv.bias")?.location;
    const bytes = readFileSync(path).subarray(location?.offset, (location?.offset ?? 0) + (location?.byteLength ?? 0));
    expect(Array.from(new Float32Array(new Uint8Array(bytes).buffer))).toEqual(await valuesOf(weights, "conv.bias"));
    expect(weights.entries.get("tied.transposed")?.location).toBeUndefined();
    await weights.close();
  });

  it("names the tensors of a training checkpoint by their path and passes over the rest", async () => {
    const weights = await openTorchFile(golden(`training.${layout}.pth`));
    expect([...weights.entries.keys()]).toEqual([
      "state_dict.weight",
      "state_dict.bias",
      "ema.0.999.weight",
      "optimizer.state.0.step",
      "optimizer.state.0.exp_avg",
      "rng.torch",
      "param",
    ]);
    expect(await valuesOf(weights, "param")).toEqual([0.25, 0.25]);
    expect(await valuesOf(weights, "ema.0.999.weight")).toEqual(await valuesOf(weights, "state_dict.weight"));
    await weights.close();
  });

  it("refuses a file that wants to run a command, and doesn't run it", async () => {
    rmSync("/tmp/executed", { force: true });
    await expect(openTorchFile(golden(`evil.${layout}.pth`))).rejects.toThrow(
      /evil\.\w+\.pth: pickle at byte \d+: it wants to import "posix\.system"/,
    );
    expect(existsSync("/tmp/executed")).toBe(false);
  });
});

describe("other files", () => {
  it("refuses a TorchScript program", async () => {
    await expect(openTorchFile(golden("script.pt"))).rejects.toThrow(/TorchScript program, not a checkpoint/);
  });

  it("refuses a file of another kind", async () => {
    await expect(openTorchFile(golden("state-dict.json"))).rejects.toThrow(/not a file of torch\.save/);
  });

  it("names a missing file", async () => {
    await expect(openTorchFile(golden("absent.pth"))).rejects.toThrow(/absent\.pth: can't read: no such file/);
  });
});
