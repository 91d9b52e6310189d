// Runs the built browser entry of core in a real Chromium: bundled as an application would, served over HTTP, compared
// with the golden outputs (see chromium.mjs for which browser).
import { join } from "node:path";
import { launchChromium, servePage } from "./chromium.mjs";
import { root } from "./workspace.mjs";

const models = ["ae_f32_in", "ae_f32_sana"];
const golden = join(root, "packages", "core", "test", "golden", "dcae");
const { url, close } = await servePage("test/browser/golden-page.mjs", { golden });

const browser = await launchChromium();
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`page: ${error.message}`));
  await page.goto(url);
  await page.waitForFunction(() => typeof globalThis.runGolden === "function", undefined, { timeout: 30_000 });
  for (const name of models) {
    const { calls, worst } = await page.evaluate((model) => globalThis.runGolden(model), name);
    console.log(
      `${name} in Chromium ${browser.version()}: ${calls} calls, largest relative difference ${worst.toExponential(1)}`,
    );
  }
} finally {
  await browser.close();
  close();
}
