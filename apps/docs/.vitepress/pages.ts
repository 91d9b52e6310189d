/** The pages of the site in the order of the sidebar. A page that isn't here, or isn't there, fails the build. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

export interface PageGroup {
  readonly text: string;
  readonly collapsed?: boolean;
  readonly items: readonly { readonly text: string; readonly link: string }[];
}

export const PAGES: readonly PageGroup[] = [
  {
    text: "Start",
    items: [
      { text: "Getting started", link: "/getting-started" },
      { text: "Live demo", link: "/demo" },
      { text: "Models", link: "/models" },
      { text: "Troubleshooting and questions", link: "/troubleshooting" },
    ],
  },
  {
    text: "Guides",
    items: [
      { text: "Encode and decode", link: "/encode-decode" },
      { text: "Big pictures and memory", link: "/big-pictures" },
      { text: "Checkpoints and conversion", link: "/checkpoints" },
      { text: "Precision and speed", link: "/precision-and-speed" },
      { text: "Export to ONNX", link: "/export" },
      { text: "Which file goes where", link: "/other-tools" },
      { text: "Diffusion models", link: "/diffusion" },
      { text: "Training", link: "/training" },
      { text: "Fine-tuning", link: "/fine-tuning" },
      { text: "More about training", link: "/training-options" },
      { text: "Evaluation", link: "/evaluation" },
      { text: "In a browser", link: "/browser" },
      { text: "Many machines", link: "/many-machines" },
      { text: "Command line", link: "/command-line" },
    ],
  },
  {
    text: "Models and results",
    items: [
      { text: "small-f32", link: "/small-model" },
      { text: "usit-scenes", link: "/usit-scenes" },
      { text: "Benchmarks", link: "/benchmarks" },
      { text: "Measured on trained weights", link: "/trained-weights" },
      { text: "The paper in miniature", link: "/paper-in-miniature" },
      { text: "Beside diffusers and the official code", link: "/comparison" },
    ],
  },
  {
    text: "Project",
    items: [
      { text: "Changelog", link: "/changelog" },
      { text: "Security", link: "/security" },
      { text: "Architecture", link: "/architecture" },
      { text: "Where time and memory go", link: "/performance-notes" },
    ],
  },
];

/** Refuses a sidebar that differs from the files in `folder`. */
export function checkPages(folder: string, groups: readonly PageGroup[]): void {
  const links = groups.flatMap(({ items }) => items.map(({ link }) => link.slice(1)));
  const absent = links.filter((link) => !existsSync(join(folder, `${link}.md`)));
  const files = readdirSync(folder).filter((file) => file.endsWith(".md") && file !== "index.md");
  const forgotten = files.map((file) => file.slice(0, -".md".length)).filter((page) => !links.includes(page));
  const faults = [
    ...absent.map((link) => `the sidebar names ${link}, and there is no ${link}.md`),
    ...forgotten.map((page) => `${page}.md isn't in the sidebar`),
  ];
  if (faults.length > 0) throw new Error(`.vitepress/pages.ts: ${faults.join("; ")}`);
}
