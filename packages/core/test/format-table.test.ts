import { expect, test } from "vitest";
import { formatTable } from "../src/printable.js";

test("columns have the width of their widest cell, numbers stand to the right", () => {
  expect(
    formatTable(
      [
        ["name", "size"],
        ["a", "5"],
        ["longer", "12345"],
      ],
      [false, true],
    ),
  ).toEqual(["name     size", "a           5", "longer  12345"]);
});

test("a remark at the end of a short row widens no column and isn't moved to the right", () => {
  const rows = [
    ["a", "1", "x"],
    ["b", "failed: a long reason"],
    ["c", "22", "y"],
  ];
  expect(formatTable(rows, [false, true])).toEqual(["a   1  x", "b  failed: a long reason", "c  22  y"]);
});

test("cells stay on their line and can't control the terminal", () => {
  expect(formatTable([["a\n\u001b[2J", "b"]])).toEqual(["a\\u000a\\u001b[2J  b"]);
  expect(formatTable([])).toEqual([]);
});
