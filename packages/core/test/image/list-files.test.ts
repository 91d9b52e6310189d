/** Which files of a folder are pictures, and which are nobody's: links, hidden files, macOS's, class folders. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, test } from "vitest";
import { DataError } from "../../src/errors.js";
import { listClassFolders, listFiles, listPictures } from "../../src/image/list-files.node.js";
import { describeLeftOut, isPictureName, PICTURE_ENDINGS } from "../../src/image/picture-name.js";

const folder = temporaryFolder();

/** A folder with empty files of these names. */
function tree(name: string, ...files: readonly string[]): string {
  const root = join(folder, name);
  mkdirSync(root, { recursive: true });
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), "");
  }
  return root;
}

describe("pictures of a folder", () => {
  test("in subfolders, sorted by path, without hidden files and folders and those of macOS", async () => {
    const root = tree(
      "mixed",
      ...["b/2.png", "b/10.png", "1.webp", "B.JPEG", "a.jfif", "a.jpe", "a.gif", "a.bmp", "a.ppm", "a.pgm"],
      ...["notes.txt", "x.txt", "png", "c/.png", ".hidden.png", ".ipynb_checkpoints/1.png", "b/.thumb/1.png"],
      ...["b/._2.png", "__MACOSX/b/._2.png", "b/__MACOSX/3.png"],
    );
    const { files, leftOut } = await listPictures(root);
    expect(files).toEqual(
      ["1.webp", "B.JPEG", "a.bmp", "a.gif", "a.jfif", "a.jpe", "a.pgm", "a.ppm", "b/10.png", "b/2.png"].sort(),
    );
    expect(Object.fromEntries(leftOut)).toEqual({ ".txt": 2, "without ending": 1, hidden: 4, "macOS metadata": 3 });
    expect(describeLeftOut(leftOut)).toBe("4 hidden, 3 macOS metadata, 2 .txt, 1 without ending");
  });

  test("links are followed; cycles and second ways to a folder end", async () => {
    const outside = tree("outside", "1.png", "deep/2.png");
    const root = tree("links", "z/0.png");
    symlinkSync(outside, join(root, "linked"));
    symlinkSync(join(outside, "1.png"), join(root, "one.png"));
    symlinkSync(root, join(root, "z", "up"));
    symlinkSync(outside, join(root, "z", "again"));
    symlinkSync(join(root, "nowhere"), join(root, "lost.png"));
    symlinkSync(join(root, "nowhere"), join(root, "lost"));
    const { files, leftOut } = await listPictures(root);
    expect(files).toEqual(["linked/1.png", "linked/deep/2.png", "lost.png", "one.png", "z/0.png"]);
    expect(Object.fromEntries(leftOut)).toEqual({ "links to folders listed already": 2, "broken links": 1 });
  });

  test("none: the error says what is there instead", async () => {
    const root = tree("none", "a.heic", "b.heic", "c/.x.png");
    await expect(listPictures(root)).rejects.toThrow(/none: there are no pictures in it, only 2 \.heic, 1 hidden$/);
    await expect(listPictures(tree("empty"))).rejects.toThrow(/empty: there are no pictures in it$/);
    await expect(listPictures(join(folder, "absent"))).rejects.toThrow(/absent: can't read: no such file or folder/);
    await expect(listPictures(join(root, "a.heic"))).rejects.toThrow(DataError);
  });

  test("a folder may be excluded, by whatever way it is reached, but not the one that is asked for", async () => {
    const root = tree("excluded", "a.png", "out/b.png");
    symlinkSync(join(root, "out"), join(root, "way"));
    const accept = isPictureName;
    expect((await listFiles(root, { accept, exclude: join(root, "out") })).files).toEqual(["a.png"]);
    expect((await listFiles(join(root, "out"), { accept, exclude: join(root, "out") })).files).toEqual(["b.png"]);
  });

  test("many kinds are counted together", () => {
    const kinds = new Map(Array.from({ length: 9 }, (_, i) => [`.k${i}`, 9 - i] as const));
    expect(describeLeftOut(kinds)).toBe("9 .k0, 8 .k1, 7 .k2, 6 .k3, 5 .k4, 4 .k5, 6 of other kinds");
    expect(describeLeftOut(new Map())).toBeUndefined();
  });
});

describe("class folders", () => {
  test("may be links, also two to one folder; labels are positions in the sorted list", async () => {
    const cats = tree("store/cats", "1.png", "more/2.jpg", ".hidden.png");
    const root = tree("classes", "dog/a.png", "dog/a.txt", "readme.md", "__MACOSX/dog/._a.png", ".cache/x.png");
    symlinkSync(cats, join(root, "cat"));
    symlinkSync(cats, join(root, "lion"));
    const { classes, files, leftOut } = await listClassFolders(root, PICTURE_ENDINGS);
    expect(classes).toEqual(["cat", "dog", "lion"]);
    expect(files).toEqual(["cat/1.png", "cat/more/2.jpg", "dog/a.png", "lion/1.png", "lion/more/2.jpg"]);
    expect(Object.fromEntries(leftOut)).toEqual({
      hidden: 3,
      "macOS metadata": 1,
      ".txt": 1,
      ".md outside of class folders": 1,
    });
  });

  test("one without pictures is refused, and so is a link that leads nowhere", async () => {
    const root = tree("one-empty", "a/1.png", "b/1.heic", "b/2.heic");
    await expect(listClassFolders(root, [".png"])).rejects.toThrow(
      /one-empty.b: this class folder has no \.png files, only 2 \.heic$/,
    );
    const lost = tree("lost-class", "a/1.png");
    symlinkSync(join(lost, "nowhere"), join(lost, "b"));
    await expect(listClassFolders(lost, [".png"])).rejects.toThrow(/lost-class.b: the link leads nowhere/);
    await expect(listClassFolders(tree("flat", "1.png"), [".png"])).rejects.toThrow(/flat: has no class folders/);
  });
});
