// @ts-check
/** What changed: the changelogs of the packages, and the notes of what isn't released yet. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createMarkdownRenderer } from "vitepress";
import { publishedPackages, root } from "../../scripts/workspace.mjs";

const folder = dirname(fileURLToPath(import.meta.url));
const notes = join(root, ".changeset");

export default {
  watch: ["../../.changeset/*.md", "../../packages/*/CHANGELOG.md"],
  async load() {
    const markdown = await createMarkdownRenderer(folder);
    const unreleased = readdirSync(notes)
      .filter((name) => name.endsWith(".md") && name !== "README.md")
      .map((name) => readFileSync(join(notes, name), "utf8").match(/^\s*---\n(.*?)\n---\n(.*)$/s))
      .filter((match) => match !== null)
      .map(([, packages, text]) => ({
        packages: [...packages.matchAll(/"(@dcae\/[a-z]+)"/g)].map(([, name]) => name),
        html: markdown.render(text.trim()),
      }));
    const released = publishedPackages()
      .map(({ folder, manifest }) => ({ name: manifest.name, file: join(folder, "CHANGELOG.md") }))
      .filter(({ file }) => existsSync(file))
      .map(({ name, file }) => ({ name, html: markdown.render(readFileSync(file, "utf8").replace(/^# .*\n/, "")) }));
    return { unreleased, released };
  },
};
