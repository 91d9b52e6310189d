/** When the runtime's telemetry is switched off, and by which variables. What that does: packages/cli/test/telemetry.soak.test.ts. */
import { expect, test } from "vitest";
import { quietRuntime, quietVariables } from "../../src/runtime/quiet-runtime.node.js";

test("telemetry is off unless the user wants it", () => {
  for (const wish of [undefined, "", " ", "1", "true", "anything"]) {
    expect(quietVariables({ ORT_DISABLE_TELEMETRY: wish }, "linux"), wish).toEqual({ ORT_DISABLE_TELEMETRY: "1" });
  }
  for (const wish of ["0", "false", "No", " off "]) {
    expect(quietVariables({ ORT_DISABLE_TELEMETRY: wish }, "linux"), wish).toEqual({});
    expect(quietVariables({ ORT_DISABLE_TELEMETRY: wish }, "win32"), wish).toEqual({});
  }
});

test("Windows has a switch of its own", () => {
  expect(quietVariables({}, "win32")).toEqual({ ORT_DISABLE_TELEMETRY: "1", ORT_RUNNING_UNIT_TESTS: "1" });
});

test("the process's own environment is changed, which its children inherit", () => {
  const before = process.env.ORT_DISABLE_TELEMETRY;
  try {
    delete process.env.ORT_DISABLE_TELEMETRY;
    expect(quietRuntime()).toBeUndefined();
    expect(process.env.ORT_DISABLE_TELEMETRY).toBe("1");
    process.env.ORT_DISABLE_TELEMETRY = "0";
    quietRuntime();
    expect(process.env.ORT_DISABLE_TELEMETRY).toBe("0");
  } finally {
    if (before === undefined) delete process.env.ORT_DISABLE_TELEMETRY;
    else process.env.ORT_DISABLE_TELEMETRY = before;
  }
});
