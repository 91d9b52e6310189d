// Every page of the built site in Chromium, at the widths of a desktop and a phone, light and dark: nothing is wider than the window, no
// picture or chart is missing, text can be told from what is behind it, and the console has no errors.
// "node scripts/check-pages.mjs FOLDER" also leaves a screenshot of each in the folder.
import { mkdirSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { builtSite, launchChromium, serveSite } from "./chromium.mjs";
import { fail } from "./workspace.mjs";

const WIDTHS = [1280, 390];
const THEMES = ["light", "dark"];
/** How much of a long page a screenshot has. */
const SHOT_HEIGHT = 9000;
/** Between text and what is behind it: WCAG's for large text, below which small text is hard to read for anybody. */
const CONTRAST = 3;
/** What each page has. */
const HEADING = "h1, .NotFound";

const [shots] = process.argv.slice(2);
if (shots !== undefined) mkdirSync(shots, { recursive: true });

const { url, close } = await serveSite();
const pages = readdirSync(builtSite, { recursive: true })
  .filter((file) => file.endsWith(".html"))
  .map((file) => relative(builtSite, join(builtSite, file)).replaceAll("\\", "/"))
  .sort();
const browser = await launchChromium();
const faults = [];
try {
  // A few at a time: most of the time a page waits for its files.
  const waiting = [...pages];
  const visitor = async () => {
    const page = await browser.newPage();
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) await visit(page, file);
    await page.close();
  };
  await Promise.all(Array.from({ length: 3 }, visitor));
} finally {
  await browser.close();
  close();
}
if (faults.length > 0) fail(faults.join("\n"));
console.log(`${pages.length} pages, each at ${WIDTHS.join(" and ")} pixels, ${THEMES.join(" and ")}`);

async function visit(page, file) {
  const said = [];
  const note = (text) => said.push(`the console says ${text}`);
  const onConsole = (message) => {
    if (message.type() === "error") note(message.text());
  };
  const onError = (error) => note(error.message);
  page.on("console", onConsole);
  page.on("pageerror", onError);
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    if (width === WIDTHS[0]) {
      await page.goto(new URL(file, url).href, { waitUntil: "load" });
      // The page that says that there is no such page is drawn by its script, which may run after "load".
      await page.waitForSelector(HEADING, { state: "attached" }).catch(() => said.push("has no heading"));
    }
    for (const theme of THEMES) {
      await page.evaluate(async (dark) => {
        document.documentElement.classList.toggle("dark", dark);
        for (const image of document.images) image.loading = "eager";
        // Colors fade from one theme to the other, and lines break anew.
        await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => undefined)));
      }, theme === "dark");
      for (const fault of await page.evaluate(faultsOfPage, width === WIDTHS[0] ? CONTRAST : 0))
        said.push(`${width} px, ${theme}: ${fault}`);
      if (shots !== undefined) {
        const name = `${file.replaceAll("/", "-").replace(/\.html$/, "")}-${width}-${theme}.jpg`;
        const height = await page.evaluate(() => document.documentElement.scrollHeight);
        const clip = { x: 0, y: 0, width, height: Math.min(height, SHOT_HEIGHT) };
        await page.screenshot({ path: join(shots, name), fullPage: true, clip, quality: 75, timeout: 120_000 });
      }
    }
  }
  page.off("console", onConsole);
  page.off("pageerror", onError);
  faults.push(...[...new Set(said)].map((fault) => `${file}: ${fault}`));
}

/** What is wrong with the page as it is shown. Runs in the browser. */
async function faultsOfPage(leastContrast) {
  const found = [];
  const over = document.documentElement.scrollWidth - window.innerWidth;
  if (over > 0) found.push(`is ${over} pixels wider than the window`);
  for (const table of document.querySelectorAll(".vp-doc table")) {
    // On a phone it scrolls.
    const hidden = table.scrollWidth - table.clientWidth;
    if (window.innerWidth > 1000 && hidden > 0)
      found.push(`a table (${table.textContent.slice(0, 20).trim()}...) is cut by ${hidden} pixels`);
  }
  const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  for (const image of document.images) {
    await image.decode().catch(() => undefined);
    if (image.naturalWidth === 0) found.push(`the picture ${image.getAttribute("src")} is missing`);
    else if (image.alt === "" && image.getAttribute("aria-hidden") !== "true" && isShown(image) && !image.closest("a"))
      found.push(`the picture ${image.getAttribute("src")} isn't described`);
  }
  for (const chart of document.querySelectorAll(".vp-doc svg, .vp-doc canvas")) {
    const { width, height } = chart.getBoundingClientRect();
    if (isShown(chart) && (width < 8 || height < 8)) found.push(`a chart is ${width} by ${height} pixels`);
  }
  // Colors don't depend on the width.
  if (leastContrast === 0) return [...new Set(found)];

  // Whatever is said as a color, in numbers from 0 to 255.
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", {
    willReadFrequently: true,
  });
  const known = new Map();
  const numbersOf = (color) => {
    if (!known.has(color)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = color;
      pen.fillRect(0, 0, 1, 1);
      known.set(color, [...pen.getImageData(0, 0, 1, 1).data]);
    }
    return known.get(color);
  };
  const laidOver = ([r, g, b, a], [x, y, z]) =>
    [r, g, b].map((value, i) => (value * a + [x, y, z][i] * (255 - a)) / 255);
  const grounds = new Map();
  /** The color behind an element; undefined where a picture is. */
  const behind = (element) => {
    if (element === null) return numbersOf(getComputedStyle(document.body).backgroundColor);
    if (!grounds.has(element)) {
      const { backgroundColor, backgroundImage } = getComputedStyle(element);
      const layer = numbersOf(backgroundColor);
      const below = layer[3] === 255 ? layer : behind(element.parentElement);
      grounds.set(element, backgroundImage !== "none" || below === undefined ? undefined : laidOver(layer, below));
    }
    return grounds.get(element);
  };
  const light = (color) => {
    const [r, g, b] = color.map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  for (let node = words.nextNode(); node !== null; node = words.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === "" || element === null || seen.has(element) || !isShown(element)) continue;
    seen.add(element);
    const { width, height } = element.getBoundingClientRect();
    const { color, webkitTextFillColor } = getComputedStyle(element);
    const back = behind(element);
    if (width < 2 || height < 2 || back === undefined || numbersOf(webkitTextFillColor)[3] === 0) continue;
    const [a, b] = [light(laidOver(numbersOf(color), back)), light(back)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < leastContrast)
      found.push(`"${node.data.trim().slice(0, 40)}" has a contrast of ${contrast.toFixed(1)} to what is behind it`);
  }
  return [...new Set(found)].slice(0, 8);
}
