import { type Image, Tensor, tensorToImages } from "@dcae/core";
import { memorySource } from "@dcae/eval";
import { expect, test } from "vitest";
import { keepPictures, spreadPositions } from "../../src/evaluation/pictures.js";

const images = Array.from({ length: 10 }, (_, i): Image => {
  const [image] = tensorToImages(Tensor.full([1, 3, 2, 2], i / 10));
  return image as Image;
});

test("positions are spread evenly, each once", () => {
  expect(spreadPositions(10, 5)).toEqual([0, 2, 4, 6, 8]);
  expect(spreadPositions(3, 5)).toEqual([0, 1, 2]);
  expect(spreadPositions(10, 0)).toEqual([]);
});

test("what is read isn't read again, and the rest is read from where it lies", async () => {
  const starts: number[] = [];
  const base = memorySource("pictures", images);
  const source = {
    ...base,
    read(start: number) {
      starts.push(start);
      return base.read(start);
    },
  };
  const kept = keepPictures(source, [0, 4, 5, 9]);
  // A run that goes on at 8 reads only the end.
  for await (const _ of kept.source.read(8));
  expect(await kept.pictures()).toEqual([0, 4, 5, 9].map((i) => images[i]));
  expect(starts).toEqual([8, 0, 4]);
});
