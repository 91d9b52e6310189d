// The live demo of the built site in Chromium, by keyboard: a known picture's PSNR must be that of Node, two latents mix, a sample appears,
// nothing is wrong on the console, at the width of a desktop and of a phone. The server sends no headers of isolation, as GitHub Pages.
// "node scripts/run-demo.mjs FOLDER" also leaves screenshots in the folder, light and dark.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { launchChromium, serveSite } from "./chromium.mjs";
import { fail, root } from "./workspace.mjs";

const picture = join(root, "apps", "docs", "public", "demo", "seascape.png");
/** Decibels. */
const TOLERANCE = 0.05;
/** For what a slow machine may take; no result depends on it. */
const WAIT = { timeout: 300_000 };
const WIDTHS = { desktop: 1280, phone: 390 };

const [shots] = process.argv.slice(2);
if (shots !== undefined) mkdirSync(shots, { recursive: true });

const expected = await psnrInNode();
const { url, close } = await serveSite();
const browser = await launchChromium();
try {
  for (const [name, width] of Object.entries(WIDTHS)) await visit(name, width);
} finally {
  await browser.close();
  close();
}

async function psnrInNode() {
  const core = await import(pathToFileURL(join(root, "packages", "core", "dist", "index.js")).href);
  const ae = await core.AutoencoderDC.fromPretrained("small-f32", { device: "cpu" });
  const x = await core.loadImage(picture, { size: 256 });
  const value = core.psnr(core.toImage(x), core.toImage(await ae.reconstruct(x)));
  await ae.dispose();
  return value;
}

async function visit(name, width) {
  const page = await browser.newPage({ viewport: { width, height: 900 } });
  const faults = [];
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text());
  });
  page.on("pageerror", (error) => faults.push(error.message));
  await page.goto(new URL("demo", url).href);

  await byKeyboard(page, '[data-sample="seascape"]');
  const shown = await textOf(page, '[data-result="psnr"]');
  const psnr = Number(shown.replace(/ dB$/, ""));
  if (!(Math.abs(psnr - expected) <= TOLERANCE))
    fail(`${name}: the demo shows a PSNR of ${shown}, Node's is ${expected.toFixed(2)} dB`);

  const slider = page.locator(".compare + input");
  await slider.focus();
  await page.keyboard.press("ArrowRight");
  if ((await slider.inputValue()) !== "51") fail(`${name}: the slider doesn't follow the keyboard`);

  await byKeyboard(page, '[data-action="mix"]');
  await statusOf(page, name, "50 % seascape, 50 % city");
  await page.locator("#sample + p + form select").nth(1).selectOption("4");
  await byKeyboard(page, '[data-action="sample"]');
  await statusOf(page, name, "A new picture");
  const spread = await page.locator('canvas[aria-label^="A sampled picture"]').evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    return Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length);
  });
  if (!(spread > 5)) fail(`${name}: the sampled picture is empty (deviation ${spread.toFixed(1)})`);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (overflow > 0) fail(`${name}: the page is ${overflow} pixels wider than the window`);
  if (faults.length > 0) fail(`${name}: the console says ${faults.join("; ")}`);
  console.log(`live demo, ${width} pixels wide: PSNR ${shown}, ${await textOf(page, '[data-result="time"]')}`);
  for (const scheme of shots === undefined ? [] : ["light", "dark"]) {
    await page.evaluate((dark) => document.documentElement.classList.toggle("dark", dark), scheme === "dark");
    await page.screenshot({ path: join(shots, `demo-${name}-${scheme}.png`), fullPage: true });
  }
  await page.close();
}

async function byKeyboard(page, selector) {
  const button = page.locator(selector);
  await button.waitFor(WAIT);
  await button.focus();
  await page.keyboard.press("Enter");
}

/** Waits until the status has these words; what goes wrong is said elsewhere. */
async function statusOf(page, name, words) {
  const alert = page.locator('.problem[role="alert"]');
  await page.locator(`.status:has-text("${words}")`).or(alert).first().waitFor(WAIT);
  if ((await alert.count()) > 0) fail(`${name}: the demo says ${await alert.textContent()}`);
}

async function textOf(page, selector) {
  const found = page.locator(selector);
  await found.waitFor(WAIT);
  return (await found.textContent()).trim();
}
