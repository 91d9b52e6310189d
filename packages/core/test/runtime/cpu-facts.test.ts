/** What a CPU is good at, from the texts of systems. */
import { expect, test } from "vitest";
import {
  cpuFacts,
  factsOf,
  instructionsOfCpuinfo,
  instructionsOfSysctl,
  whyNotInt8,
} from "../../src/runtime/cpu-facts.node.js";

const cpuinfo = (flags: string) => `processor\t: 0\nmodel name\t: a CPU\nflags\t\t: ${flags}\nbugs\t\t: none\n`;
const linux = (flags: string) => factsOf("x64", instructionsOfCpuinfo(cpuinfo(flags)));

test.each([
  ["fpu sse2 avx2 fma", { set: "avx2", int8: [] }],
  ["fpu avx2 avx_vnni", { set: "avx2", int8: ["AVX-VNNI"] }],
  ["avx2 avx512f avx512bw avx512_vnni", { set: "avx512", int8: ["AVX-512 VNNI"] }],
  ["avx2 avx512f avx512_vnni amx_int8 amx_tile", { set: "avx512", int8: ["AMX", "AVX-512 VNNI"] }],
])("Linux on x64: %s", (flags, facts) => {
  expect(linux(flags)).toEqual({ ...facts, known: true });
});

test("Linux and macOS on ARM", () => {
  const names = instructionsOfCpuinfo("processor : 0\nFeatures : fp asimd asimddp\n");
  expect(factsOf("arm64", names)).toEqual({ set: "neon", int8: ["dot product"], known: true });
  const sysctl = "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 0\nhw.optional.neon: 1\n";
  expect(factsOf("arm64", instructionsOfSysctl(sysctl))).toMatchObject({ set: "neon", int8: ["dot product"] });
});

test("macOS on x64", () => {
  const sysctl =
    "hw.optional.avx2_0: 1\nmachdep.cpu.features: FPU SSE FMA\nmachdep.cpu.leaf7_features: AVX2 AVX512F AVX512VNNI\n";
  expect(factsOf("x64", instructionsOfSysctl(sysctl))).toMatchObject({ set: "avx512", int8: ["AVX-512 VNNI"] });
});

test("where a system doesn't say, the oldest set is assumed, and nothing is said of int8", () => {
  expect(instructionsOfCpuinfo("processor : 0\n")).toBeUndefined();
  expect(instructionsOfSysctl("")).toBeUndefined();
  const facts = factsOf("x64", undefined);
  expect(facts).toEqual({ set: "avx2", int8: [], known: false });
  expect(whyNotInt8(facts)).toBeUndefined();
});

test("int8 is advised against where the CPU has nothing for it", () => {
  expect(whyNotInt8(linux("avx2"))).toContain("no VNNI: int8 takes longer than float32");
  expect(whyNotInt8(factsOf("arm64", new Set(["asimd"])))).toContain("no dot products of 8 bits");
  expect(whyNotInt8(linux("avx2 avx512f avx512_vnni"))).toBeUndefined();
});

test("this machine has facts, the same at each call", async () => {
  expect(await cpuFacts()).toBe(await cpuFacts());
});
