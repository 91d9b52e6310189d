/** What stands for inputs and results besides files and folders: stdin and stdout, patterns; and what is said before and during the work. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeNpy, readNpyFile } from "@dcae/core/checkpoint";
import { decodeImage } from "@dcae/core/image";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { expandGlob } from "../src/files/glob.js";
import { quoted } from "../src/items/items.js";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

let m: string;
let cat: string;

beforeAll(async () => {
  m = await makeModel(folder, "model");
  mkdirSync(at("photos", "pets"), { recursive: true });
  cat = await makePicture(at("photos"), "cat.png", 32);
  await makePicture(at("photos", "pets"), "dog.png", 24, 32, 2);
  await makePicture(at("photos"), "odd.png", 37, 26, 3);
});

describe("- is stdin and stdout", () => {
  test("a picture goes in, a .npy array out, words to stderr", async () => {
    await succeed("encode", cat, "-m", m, "-o", at("cat.npy"));
    const { status, stdout, stderr, bytes } = await cli(["encode", "-", "-m", m, "-o", "-"], {
      stdin: readFileSync(cat),
    });
    expect([status, stdout, stderr]).toEqual([0, "", "dcae: 1 latent of [8, 8, 8]\n"]);
    const file = await readNpyFile(at("cat.npy"));
    expect(decodeNpy(bytes).shape).toEqual(file.shape);
    expect([...decodeNpy(bytes).data]).toEqual([...file.data]);
  });

  test("a .npy array goes in, a picture out", async () => {
    const latent = at("latent.npy");
    await succeed("encode", cat, "-m", m, "-o", latent);
    await succeed("decode", latent, "-m", m, "-o", at("decoded.png"));
    const { status, stdout, bytes } = await cli(["decode", "-", "-m", m, "-o", "-"], { stdin: readFileSync(latent) });
    expect([status, stdout]).toEqual([0, ""]);
    expect((await decodeImage(bytes)).data).toEqual((await decodeImage(at("decoded.png"))).data);
  });

  test("files as results, from stdin", async () => {
    const { status } = await cli(["reconstruct", "-", "-m", m, "-o", at("piped")], { stdin: readFileSync(cat) });
    expect(status).toBe(0);
    expect(readdirSync(at("piped")).sort()).toEqual([
      "report.json",
      "stdin-reconstruction.png",
      "stdin-side-by-side.png",
    ]);
  });

  test.each([
    [["encode", "-", "-o", "-"], 1, "stdin: it is empty"],
    [["encode", "-", "-", "-o", "-"], 2, "stdin can be read once only"],
    [["encode", "cat.png", "-o", "-", "--json"], 2, "--json and --out - both want stdout"],
    [["encode", "cat.png", "-o", "-", "--skip-errors"], 2, "--skip-errors needs a folder"],
  ])("%s", async (argv, status, message) => {
    expect(await failWith(status as number, ...(argv as string[]), "-m", m)).toContain(message);
  });

  test("what a command doesn't take is said", async () => {
    const { status, stderr } = await cli(["decode", "-", "-m", m, "-o", "-"], { stdin: readFileSync(cat) });
    expect([status, stderr]).toEqual([1, "dcae: stdin: this command takes latents as a .npy array\n"]);
  });
});

describe("patterns", () => {
  test("quoted ones are expanded, as a shell would", async () => {
    await succeed("encode", at("photos", "c*.png"), at("photos", "**", "d?g.{jpg,png}"), "-m", m, "-o", at("globbed"));
    expect(readdirSync(at("globbed")).sort()).toEqual(["cat.npy", "dog.npy"]);
    expect(await failWith(1, "encode", at("photos", "*.tiff"), "-m", m, "-o", at("none"))).toContain(
      "no file has a name of this pattern",
    );
  });

  test("a file whose name looks like a pattern is that file", async () => {
    await makePicture(folder, "a[1].png", 32);
    await succeed("encode", at("a[1].png"), "-m", m, "-o", at("bracket.npy"));
    expect(existsSync(at("bracket.npy"))).toBe(true);
  });

  test("names, folders, hidden files and the separator of Windows", async () => {
    mkdirSync(at("names", "pets"), { recursive: true });
    for (const name of ["cat.png", "odd.png", "pets/dog.png", "pets/.hidden.png", "pets/b.JPG"]) {
      writeFileSync(at("names", ...name.split("/")), "");
    }
    const find = async (pattern: string) => {
      const paths = await expandGlob(`${folder}/names/${pattern}`);
      return paths.map((path) => path.slice(at("names").length + 1).replaceAll("\\", "/"));
    };
    expect(await find("*")).toEqual(["cat.png", "odd.png", "pets"]);
    expect(await find("**/*.png")).toEqual(["cat.png", "odd.png", "pets/dog.png"]);
    expect(await find("pets/.*")).toEqual(["pets/.hidden.png"]);
    expect(await find("[!o]*.png")).toEqual(["cat.png"]);
    expect(await find("{cat,{o,p}dd}.png")).toEqual(["cat.png", "odd.png"]);
    expect(await find("pets/b.+")).toEqual([]);
    expect(await expandGlob(`${folder}\\names\\c*`.replaceAll("/", "\\"), "\\")).toEqual([at("names", "cat.png")]);
  });
});

test("a.jpg beside a.png: each has its result", async () => {
  mkdirSync(at("twins"));
  for (const name of ["a.jpg", "a.png", "b.png"]) await makePicture(at("twins"), name, 32);
  await succeed("encode", at("twins"), "-m", m, "-o", at("twins-out"));
  expect(readdirSync(at("twins-out")).sort()).toEqual(["a.jpg.npy", "a.png.npy", "b.npy"]);
});

test("pictures that need a --size-policy are asked about before any work, with the line to type", async () => {
  const argv = ["encode", at("photos"), "-m", m, "-o", at("with space")];
  const line = await failWith(1, ...argv);
  expect(line).toContain("1 of 3 pictures have sides that aren't multiples of 4, the model's compression, as ");
  const typed = [...argv.slice(0, -1), `'${at("with space")}'`].join(" ");
  expect(line).toContain(`To keep every pixel: dcae ${typed} --size-policy reflect-pad;`);
  expect(existsSync(at("with space"))).toBe(false);
  await succeed(...argv, "--size-policy", "reflect-pad");
  expect(readdirSync(at("with space"), { recursive: true }).map(String).sort()).toEqual([
    "cat.npy",
    "odd.npy",
    "pets",
    join("pets", "dog.npy"),
  ]);
});

test("words of that line are quoted as the shell of the system does", () => {
  const words = ["photos/cat.jpg", "my photos", "it's", "C:\\photos\\cat.jpg"];
  expect(words.map((word) => quoted(word, "linux"))).toEqual([
    "photos/cat.jpg",
    "'my photos'",
    "'it'\\''s'",
    "'C:\\photos\\cat.jpg'",
  ]);
  expect(words.map((word) => quoted(word, "win32"))).toEqual([
    "photos/cat.jpg",
    '"my photos"',
    '"it\'s"',
    "C:\\photos\\cat.jpg",
  ]);
});

test("results are said as they come", async () => {
  const seen: number[] = [];
  const out = at("as-they-come");
  const lines: string[] = [];
  await cli(["reconstruct", at("photos"), "-m", m, "-o", out, "--size-policy", "center-crop"], {
    onStdout(text) {
      lines.push(text);
      seen.push(
        existsSync(out)
          ? readdirSync(out, { recursive: true }).filter((name) => String(name).includes("reconstruction")).length
          : 0,
      );
    },
  });
  expect(seen).toEqual([1, 2, 3, 3]);
  expect(lines.at(-1)).toMatch(/^3 pictures, mean PSNR/);
});

test("nothing is compared that nobody asked to compare", async () => {
  expect(await failWith(2, "reconstruct", cat, "-m", m, "-o", at("x"), "--compare")).toContain(
    "--compare has no effect",
  );
});
