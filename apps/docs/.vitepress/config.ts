import { defineConfig } from "vitepress";

export default defineConfig({
  title: "dcae",
  description: "The Deep Compression Autoencoder for TypeScript",
  lang: "en-US",
  cleanUrls: true,
  // Specifications for people who read the sources, cited there by section; plain Markdown, no pages of the site.
  srcExclude: ["reference/**", "scripts/**"],
  themeConfig: {
    nav: [
      { text: "Guide", link: "/getting-started" },
      { text: "Architecture", link: "/architecture" },
    ],
    sidebar: [
      {
        text: "Guide",
        items: [
          { text: "Getting started", link: "/getting-started" },
          { text: "Autoencoders", link: "/autoencoders" },
          { text: "The small model", link: "/small-model" },
          { text: "The paper in miniature", link: "/paper-in-miniature" },
          { text: "Diffusion models", link: "/diffusion" },
          { text: "Command line", link: "/command-line" },
          { text: "Training", link: "/training" },
          { text: "Evaluation", link: "/evaluation" },
          { text: "Benchmarks", link: "/benchmarks" },
          { text: "Architecture", link: "/architecture" },
        ],
      },
    ],
    search: { provider: "local" },
    footer: { message: "Apache-2.0" },
  },
});
