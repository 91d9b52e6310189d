import { expectClose } from "@dcae/test-support/compare";
import { expectGolden } from "@dcae/test-support/golden";
import { describe, expect, it } from "vitest";
import { fastOrders, plannedSteps, timeGrid } from "../../src/samplers/dpm-solver.js";
import { noiseSchedule } from "../../src/schedules/noise-schedule.js";
import { loadGolden } from "../support/golden.js";

const schedule = noiseSchedule("vp_dpmsolver");

describe("the fast single-step solver", () => {
  it("has the reference's orders, times, step sizes and inner positions", async () => {
    const golden = await loadGolden("schedule_uvit");
    const counts = golden.config.steps as number[];
    expect(counts.length).toBeGreaterThan(0);
    for (const steps of counts) {
      const orders = [...(golden.tensor(`out.fast.${steps}.orders`).data as Int32Array)];
      expect(fastOrders(steps, 3)).toEqual(orders);
      const times = timeGrid("time_uniform", steps, 1, 0.001, schedule);
      expect(times).toEqual(golden.tensor(`out.fast.${steps}.t`).data);
      const planned = plannedSteps({
        steps,
        order: 3,
        method: "fast",
        spacing: "time_uniform",
        startTime: 1,
        endTime: 0.001,
        rule: { schedule },
      });
      const sizes = planned.map(({ from, to }) => schedule.lambda(to) - schedule.lambda(from));
      expectGolden(golden, `out.fast.${steps}.h`, sizes);
      expectGolden(
        golden,
        `out.fast.${steps}.r1`,
        planned.map(({ inner }) => inner.r1),
      );
      expectGolden(
        golden,
        `out.fast.${steps}.r2`,
        planned.map(({ inner }) => inner.r2),
      );
    }
  });

  it.each(["logSNR", "t2", "time_uniform"] as const)("has the reference's times for %s", async (spacing) => {
    const golden = await loadGolden("schedule_uvit");
    const times = timeGrid(spacing, golden.tensor(`out.skip.${spacing}`).size - 1, 1, 0.001, schedule);
    expectGolden(golden, `out.skip.${spacing}`, times);
    expectClose(times, golden.tensor(`out.skip.${spacing}`), 1e-5);
  });

  it("spends every evaluation it may", () => {
    for (const order of [1, 2, 3] as const) {
      for (let steps: number = order; steps < 40; steps++) {
        expect(
          fastOrders(steps, order).reduce((sum, value) => sum + value, 0),
          `${steps} ${order}`,
        ).toBe(steps);
      }
    }
  });
});
