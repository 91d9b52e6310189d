import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitepress";
import { brokenFiles, brokenLinks } from "../scripts/check-site.mjs";
import { apiPages, writeApi } from "../scripts/write-api.mjs";
import { checkPages, PAGES } from "./pages.js";

const docs = dirname(dirname(fileURLToPath(import.meta.url)));
const root = join(docs, "../..");

// "npm run build" writes the reference anew; whoever calls vitepress directly gets one that is there.
if (!existsSync(join(docs, "api/index.md"))) await writeApi();

const reference = {
  text: "API reference",
  collapsed: true,
  items: [
    { text: "Overview", link: "/api/" },
    ...apiPages().map(({ name, page }) => ({ text: name, link: `/api/${page}` })),
  ],
};
checkPages(docs, PAGES);

/** Where the sources are, as package.json says; a site that is built before they are public has no link to them. */
const { repository } = JSON.parse(readFileSync(join(root, "packages/core/package.json"), "utf8"));
const sources = repository?.url.replace(/^git\+/, "").replace(/\.git$/, "") as string | undefined;

export default defineConfig({
  title: "dcae",
  description: "DC-AE, the Deep Compression Autoencoder, for TypeScript: Node, the browser and the shell.",
  lang: "en-US",
  cleanUrls: true,
  // Specifications for people who read the sources, cited there by section; plain Markdown, no pages of the site.
  srcExclude: ["reference/**", "scripts/**", "measurements/**"],
  head: [["link", { rel: "icon", type: "image/svg+xml", href: "/favicon.svg" }]],
  markdown: {
    config(md) {
      // An option of a command stays on one line: browsers break behind its hyphens.
      const inline = md.renderer.rules.code_inline as NonNullable<typeof md.renderer.rules.code_inline>;
      md.renderer.rules.code_inline = (...given) =>
        inline(...given).replace(/--[a-z][a-z0-9-]*/g, '<span class="unbroken">$&</span>');
    },
  },
  themeConfig: {
    logo: "/favicon.svg",
    nav: [
      { text: "Guide", link: "/getting-started" },
      { text: "Live demo", link: "/demo" },
      { text: "API", link: "/api/" },
      { text: "Benchmarks", link: "/benchmarks" },
    ],
    sidebar: [...PAGES.map(({ items, ...group }) => ({ ...group, items: [...items] })), reference],
    outline: [2, 3],
    search: { provider: "local" },
    socialLinks: sources === undefined ? [] : [{ icon: "github", link: sources, ariaLabel: "sources" }],
    footer: { message: "Apache-2.0. Published checkpoints have licenses of their own." },
  },
  // The index of the search and the page of the graph's ops are larger than what Vite warns of.
  vite: {
    build: { chunkSizeWarningLimit: 2000 },
    // The live demo's packages name files by URL, which the development server would leave behind.
    optimizeDeps: { exclude: ["@dcae/core", "@dcae/diffusion", "onnxruntime-web"] },
  },
  async buildEnd({ outDir }) {
    const readmes = [
      "README.md",
      "CONTRIBUTING.md",
      "SECURITY.md",
      ...["core", "train", "diffusion", "eval", "cli"].map((name) => `packages/${name}/README.md`),
    ];
    const broken = [...brokenLinks(outDir), ...brokenFiles(root, readmes)];
    if (broken.length > 0) throw new Error(`links that lead nowhere:\n${broken.join("\n")}`);
  },
});
