/** Nothing that a terminal obeys gets through, and everything else does. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { printable, printableLine } from "../src/internal/index.js";

test("escape sequences, as they move cursors and set clipboards, become text", () => {
  expect(printable("cat\u001b]52;c;ZXZpbA==\u0007.png")).toBe("cat\\u001b]52;c;ZXZpbA==\\u0007.png");
  expect(printable("\u001b[2J\u009b1A\u007f\b\r")).toBe("\\u001b[2J\\u009b1A\\u007f\\u0008\\u000d");
  expect(printable("gnp\u202etac")).toBe("gnp\\u202etac");
  expect(printable("half \ud83d and whole \ud83d\ude00")).toBe("half \\ud83d and whole \ud83d\ude00");
});

test("line breaks and tabs stay in text and are escaped in lines; letters of all languages stay", () => {
  const text = "Ärger, 猫, кот, \u200d🐈\n\tnext";
  expect(printable(text)).toBe(text);
  expect(printableLine(text)).toBe("Ärger, 猫, кот, \u200d🐈\\u000a\\u0009next");
});

test("JSON text keeps its value", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: "binary" }), (value, name) => {
      const whole = { value, [name]: `\u001b${name}\u009b\u2028` };
      expect(JSON.parse(printable(JSON.stringify(whole, undefined, 2)))).toEqual(JSON.parse(JSON.stringify(whole)));
    }),
    { seed: 7 },
  );
});
